"""The small model that the parts about growth use, and points of a curve measured by turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.daemon import report, server
from bench.daemon.plot import Limit, Plot, Series, svg
from bench.daemon.rounds import Ratio, ratio

# 512 bytes a token: what is looked at is what requests cost, not what rows cost.
MODEL = server.Model("small", layers=1, heads=2, dim=64, capacity=4)
GROWTH_PERCENT = 10.0


@dataclass(frozen=True)
class Point:
    """A time at one x, once for each round; in microseconds."""

    x: int
    times: list[float]

    @property
    def median(self) -> float:
        return median(self.times)

    @property
    def span(self) -> tuple[float, float]:
        return min(self.times), max(self.times)


def grown(first: Point, last: Point) -> Ratio:
    """How many times the first is the last, round by round."""
    return ratio(last.times, first.times)


def growth(points: Sequence[Point]) -> float:
    """How many times the first point the worst of the others is."""
    return max(grown(points[0], point).median for point in points[1:])


def growth_table(
    title: str, head: str, points: Sequence[Point], notes: Sequence[str]
) -> report.Table:
    rows = [
        [
            report.count(point.x),
            f"{point.median:.1f}",
            f"{point.span[0]:.1f}-{point.span[1]:.1f}",
            f"{grown(points[0], point).median:.2f}",
            grown(points[0], point).spread,
        ]
        for point in points
    ]
    heads = [head, "p50 us", "rounds", "over the first", "rounds"]
    return report.Table(title, heads, rows, notes)


def growth_plot(title: str, subtitle: str, x: str, curves: Mapping[str, Sequence[Point]]) -> str:
    """With the target, by the first curve, as a line."""
    lines = [series(name, points) for name, points in curves.items()]
    most = next(iter(curves.values()))[0].median * (1 + GROWTH_PERCENT / 100)
    limit = Limit(f"target: + {GROWTH_PERCENT:.0f} % at most", most)
    return svg(Plot(title, subtitle, x, "append p50, µs", lines, limit))


def series(name: str, points: Sequence[Point]) -> Series:
    return Series(name, [(one.x, one.median) for one in points], [one.span for one in points])


def data(points: Sequence[Point]) -> list[dict[str, object]]:
    return [{"x": point.x, "us": point.times} for point in points]
