"""Measuring by turns: what is compared is measured side by side, several times over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")


def by_turns(measures: Mapping[K, Callable[[], T]], rounds: int) -> dict[K, list[T]]:
    """Each measure once a round, every other round in reverse, so that neither drift of the
    machine nor the order favours one of them."""
    found: dict[K, list[T]] = {name: [] for name in measures}
    for turn in range(rounds):
        names = list(measures)
        for name in names if turn % 2 == 0 else reversed(names):
            found[name].append(measures[name]())
    return found


@dataclass(frozen=True)
class Ratio:
    """The median of the ratios of the rounds, with their least and greatest."""

    median: float
    least: float
    greatest: float

    def __str__(self) -> str:
        return f"{self.median:.2f}"

    @property
    def spread(self) -> str:
        return f"{self.least:.2f}-{self.greatest:.2f}"

    def data(self) -> dict[str, float]:
        return {"median": self.median, "least": self.least, "greatest": self.greatest}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Of two that were measured in the same rounds."""
    each = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Ratio(median(each), min(each), max(each))
