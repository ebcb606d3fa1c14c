"""What an item of an append costs, by how many there are in one request."""

from __future__ import annotations

from collections.abc import Callable

from bench.daemon import load, report, server
from bench.daemon.parts import small
from bench.daemon.parts.small import Point
from bench.daemon.plot import Plot, svg
from bench.daemon.rounds import by_turns
from bench.daemon.setting import Setting, one_cpu

LAYER = server.Model("layer", layers=1, heads=8, dim=128, capacity=16)
SETTINGS = 'journal: { bytes = "16M"; };'  # soon full of requests of the next size
MODELS = (small.MODEL, LAYER)


def measure(setting: Setting) -> report.Part:
    config = server.Config(MODELS, [SETTINGS])
    counts = setting.effort.items
    with one_cpu(), server.truekvd(setting, config) as daemon:
        measures = {
            (model.name, count): _append(setting, daemon, model, count)
            for model in MODELS
            for count in counts
        }
        found = by_turns(measures, setting.effort.rounds)
    curves = {model.name: [Point(n, found[model.name, n]) for n in counts] for model in MODELS}
    return _report(curves)


def _append(
    setting: Setting, daemon: server.Daemon, model: server.Model, count: int
) -> Callable[[], float]:
    what = load.Append(model, sequences=count, items=count)
    return lambda: load.append(setting, daemon, what).p50_us / count


def _report(curves: dict[str, list[Point]]) -> report.Part:
    part = report.Part("items")
    names = {model.name: report.size(model.token_bytes) for model in MODELS}
    heads = [
        "items",
        *(f"{head}, {names[one]}" for one in curves for head in ("us each", "request us")),
    ]
    rows = [
        [report.count(points[0].x)]
        + [text for one in points for text in (f"{one.median:.2f}", f"{one.median * one.x:.1f}")]
        for points in zip(*curves.values(), strict=True)
    ]
    notes = ["One request in flight; p50 of a request over its items; all on one CPU."]
    part.tables.append(report.Table("Time of an item by items in a request", heads, rows, notes))
    lines = [small.series(f"{names[name]} an item", points) for name, points in curves.items()]
    title = "Time of an item by items in a request"
    subtitle = "one request in flight; p50 of a request, divided by its items; all on one CPU"
    axes = ("items in a request", "µs for each item")
    part.plots["item-by-items"] = svg(Plot(title, subtitle, *axes, lines, log_y=True))
    part.data = {name: small.data(points) for name, points in curves.items()}
    return part
