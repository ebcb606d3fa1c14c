"""Line plots as SVG files that fetch nothing, and follow the reader's choice of light or dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 24, 82, 60
_NEAR = 34  # pixels between the labels of two ticks, at least
_TICKS = 5  # about so many on a linear axis

_STYLE = """\
  .paper { fill: #ffffff; } text { fill: #1f2328; } .dim { fill: #57606a; }
  .grid { stroke: #d8dee4; } .axis { stroke: #57606a; } .limit { stroke: #57606a; }
  .s0 { stroke: #1d4ed8; } .s1 { stroke: #c2410c; } .s2 { stroke: #15803d; }
  .s3 { stroke: #7e22ce; }
  .d0 { fill: #1d4ed8; } .d1 { fill: #c2410c; } .d2 { fill: #15803d; } .d3 { fill: #7e22ce; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; } text { fill: #e6edf3; } .dim { fill: #9198a1; }
    .grid { stroke: #262c36; } .axis { stroke: #8b949e; } .limit { stroke: #8b949e; }
    .s0 { stroke: #60a5fa; } .s1 { stroke: #fb923c; } .s2 { stroke: #4ade80; }
    .s3 { stroke: #c084fc; }
    .d0 { fill: #60a5fa; } .d1 { fill: #fb923c; } .d2 { fill: #4ade80; } .d3 { fill: #c084fc; }
  }"""


@dataclass(frozen=True)
class Series:
    """A line: its points by x, with the least and greatest of each where they were measured."""

    name: str
    points: Sequence[tuple[float, float]]
    spans: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Limit:
    """A dashed line: where a target is."""

    name: str
    y: float


@dataclass(frozen=True)
class Plot:
    title: str
    subtitle: str
    x: str
    y: str
    series: Sequence[Series]
    limit: Limit | None = None
    log_x: bool = True
    log_y: bool = False


@dataclass(frozen=True)
class _Axis:
    """From values to pixels; begin may be greater than end."""

    low: float
    high: float
    begin: float
    end: float
    log: bool

    def at(self, value: float) -> float:
        low, high, value = (self._scaled(one) for one in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.begin + share * (self.end - self.begin)

    def ticks(self) -> list[float]:
        return _log_ticks(self.low, self.high) if self.log else _ticks(self.low, self.high)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value


def svg(plot: Plot) -> str:
    """The file's text."""
    x, y = _x_axis(plot), _y_axis(plot)
    parts = [_head(plot), _grid(plot, x, y)]
    if plot.limit is not None:
        parts.append(_limit(plot.limit, y))
    parts += [_line(i, one, x, y) for i, one in enumerate(plot.series)]
    parts.append(_legend(plot.series))
    return "\n".join([*parts, "</svg>", ""])


def _x_axis(plot: Plot) -> _Axis:
    values = [x for one in plot.series for x, _ in one.points]
    return _Axis(min(values), max(values), _LEFT + 12, WIDTH - _RIGHT - 12, plot.log_x)


def _y_axis(plot: Plot) -> _Axis:
    values = [y for one in plot.series for _, y in one.points]
    values += [y for one in plot.series for span in one.spans for y in span]
    if plot.limit is not None:
        values.append(plot.limit.y)
    if plot.log_y:
        low, high = 10 ** math.floor(math.log10(min(values))), max(values) * 1.3
    else:
        low, high = 0.0, max(values) * 1.12 or 1.0
    return _Axis(low, high, HEIGHT - _BOTTOM, _TOP, plot.log_y)


def _head(plot: Plot) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" font-family="system-ui, sans-serif" '
            'font-size="13" role="img">',
            f"<title>{escape(plot.title)}</title>",
            f"<style>\n{_STYLE}\n</style>",
            f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
            f'<text x="20" y="26" font-size="16" font-weight="600">{escape(plot.title)}</text>',
            f'<text class="dim" x="20" y="45">{escape(plot.subtitle)}</text>',
        ]
    )


def _grid(plot: Plot, x: _Axis, y: _Axis) -> str:
    parts = []
    left, right, bottom = _LEFT, WIDTH - _RIGHT, HEIGHT - _BOTTOM
    for value in y.ticks():
        at = y.at(value)
        parts.append(f'<path class="grid" d="M{left},{at:.1f} H{right}"/>')
        parts.append(_text(left - 8, at + 4.5, label(value), "end"))
    for value in _x_ticks(x):
        at = x.at(value)
        parts.append(f'<path class="axis" d="M{at:.1f},{bottom} v5"/>')
        parts.append(_text(at, bottom + 20, label(value), "middle"))
    parts.append(f'<path class="axis" d="M{left},{bottom} H{right}"/>')
    parts.append(_text((left + right) / 2, HEIGHT - 14, plot.x, "middle", "dim"))
    middle = (_TOP + bottom) / 2
    turned = f'transform="rotate(-90 20 {middle})"'
    parts.append(_text(20, middle, plot.y, "middle", "dim", turned))
    return "\n".join(parts)


def _x_ticks(x: _Axis) -> list[float]:
    """With the last point, unless a tick is near it: that is where one looks."""
    ticks = x.ticks()
    if ticks and x.end - x.at(ticks[-1]) < _NEAR:
        ticks.pop()
    return [*ticks, x.high]


def _limit(limit: Limit, y: _Axis) -> str:
    """The line, and what it is at the end of the legend's row."""
    at = y.at(limit.y)
    right = WIDTH - _RIGHT
    line = f'<path class="limit" stroke-dasharray="6 4" d="M{_LEFT},{at:.1f} H{right}"/>'
    key = f'<path class="limit" stroke-dasharray="6 4" d="M{right - 190},64 h30"/>'
    return "\n".join([line, key, _text(right - 152, 68.5, limit.name, "start", "dim")])


def _line(index: int, series: Series, x: _Axis, y: _Axis) -> str:
    points = [(x.at(a), y.at(b)) for a, b in series.points]
    path = " L".join(f"{a:.1f},{b:.1f}" for a, b in points)
    parts = [f'<path class="s{index}" fill="none" stroke-width="2" d="M{path}"/>']
    for (a, _), (low, high) in zip(points, series.spans, strict=False):
        parts.append(
            f'<path class="s{index}" stroke-opacity="0.45" stroke-width="1.5" '
            f'd="M{a:.1f},{y.at(low):.1f} V{y.at(high):.1f}"/>'
        )
    parts += [f'<circle class="d{index}" cx="{a:.1f}" cy="{b:.1f}" r="3.5"/>' for a, b in points]
    return "\n".join(parts)


def _legend(series: Sequence[Series]) -> str:
    """A row above the plot, unless there is one line only: then the title says what it is."""
    parts, at = [], float(_LEFT)
    for index, one in enumerate(series if len(series) > 1 else ()):
        parts.append(f'<circle class="d{index}" cx="{at + 5:.0f}" cy="64" r="4.5"/>')
        parts.append(_text(at + 15, 68.5, one.name, "start"))
        at += 40 + 7.2 * len(one.name)
    return "\n".join(parts)


def _text(x: float, y: float, text: str, anchor: str, style: str = "label", more: str = "") -> str:
    return (
        f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>'
        f"{escape(text)}</text>"
    )


def label(value: float) -> str:
    """Thousands as k, millions as M, nothing more precise than a tick is."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / _TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough)
    first = math.ceil(low / step)
    return [round(step * i, 10) for i in range(first, math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, with 2 and 5 between them where there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if len(powers) > 4 else (1, 2, 5)
    every = [factor * 10.0**power for power in powers for factor in factors]
    return [value for value in every if low * 0.999 <= value <= high * 1.001]
