"""What a part of the suite reports: tables for people, data for programs, plots, verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """Rows of text under heads; the first column is text, the others are numbers."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def text(self) -> str:
        lines = [self.heads, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.heads))]
        shown = [_line(line, widths) for line in lines]
        rule = "  ".join("-" * width for width in widths)
        return "\n".join([self.title, "", shown[0], rule, *shown[1:], *_indented(self.notes)])


@dataclass(frozen=True)
class Verdict:
    """A target, what was measured, and whether that meets it."""

    what: str
    target: str
    measured: str
    met: bool

    def text(self) -> str:
        word = "met   " if self.met else "MISSED"
        return f"  {word}  {self.what}: {self.measured} (target {self.target})"


@dataclass
class Part:
    """One benchmark's report."""

    name: str
    tables: list[Table] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    plots: dict[str, str] = field(default_factory=dict)  # name of the file without .svg: SVG
    data: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        parts = [table.text() for table in self.tables]
        if self.verdicts:
            parts.append("\n".join(verdict.text() for verdict in self.verdicts))
        return "\n\n".join(parts)

    def json(self) -> dict[str, Any]:
        return {"data": self.data, "verdicts": [vars(one) for one in self.verdicts]}


def at_least(what: str, value: float, limit: float) -> Verdict:
    """A ratio that is to reach a limit."""
    short = "" if value >= limit else f", {100 * (1 - value / limit):.1f} % below it"
    return Verdict(what, f">= {limit:.2f}", f"{value:.2f}{short}", value >= limit)


def at_most(what: str, value: float, limit: float, unit: str) -> Verdict:
    over = "" if value <= limit else f", {value - limit:.1f} {unit} above it"
    return Verdict(what, f"<= {limit:g} {unit}", f"{value:.1f} {unit}{over}", value <= limit)


def growth(what: str, times: float, percent: float) -> Verdict:
    """How much a median grew, as a factor, against the most that it may, in percent."""
    return at_most(what, 100 * (times - 1), percent, "%")


def count(number: float) -> str:
    """12 345"""
    return f"{number:,.0f}".replace(",", " ")


def size(number: float) -> str:
    """4 KiB"""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.4g} {unit}"
        number /= 1024
    return f"{number:.4g} GiB"


def rate(bytes_per_second: float) -> str:
    """3.21 GB/s"""
    return f"{bytes_per_second / 1e9:.2f} GB/s"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    others = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return "  ".join([first, *others])


def _indented(notes: Sequence[str]) -> list[str]:
    return [f"  {note}" for note in notes]
