"""What an append waits, by the number of sequences that are open; it rotates over them all.

Twice: as truekvd is by default, and without its scrubbing in the background. That reads so many
bytes a second, whatever caches they belong to: of caches as small as these, thousands a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.daemon import load, report, server
from bench.daemon.parts import small
from bench.daemon.parts.small import MODEL, Point
from bench.daemon.rounds import by_turns
from bench.daemon.setting import Setting, one_cpu

APPENDS_PER_SECOND = 12_000  # at the least: how long one round over all sequences takes
LIMITS = "limits: { max_connections = 16; };"
CONFIG = server.Config([MODEL], [LIMITS])
CONFIGS = {
    "by default": CONFIG,
    "without background scrub": server.Config(
        [MODEL], [LIMITS, 'scrub: { bytes_per_second = "0"; };']
    ),
}


def measure(setting: Setting) -> report.Part:
    part = report.Part("sequences")
    curves: dict[str, list[Point]] = {}
    for name, config in CONFIGS.items():
        curves[name] = _curve(setting, config)
        _add(part, name, curves[name])
    part.plots["append-by-sequences"] = small.growth_plot(
        "Append p50 by sequences open",
        "one request in flight, 512 bytes, each to the next sequence; all on one CPU; bars: rounds",
        "sequences open",
        curves,
    )
    return part


def _curve(setting: Setting, config: server.Config) -> list[Point]:
    counts = setting.effort.sequences
    with one_cpu(), server.truekvd(setting, config) as daemon:
        measures = {count: _append(setting, daemon, count) for count in counts}
        found = by_turns(measures, setting.effort.rounds)
    return [Point(count, [one.p50_us for one in found[count]]) for count in counts]


def _append(setting: Setting, daemon: server.Daemon, count: int) -> Callable[[], load.Load]:
    """It warms up for as long as it takes to touch every cache: a fresh one costs a page fault."""
    warmup = setting.effort.warmup + count / APPENDS_PER_SECOND
    what = load.Append(MODEL, count, warmup=warmup)

    def run() -> load.Load:
        _await_free(daemon)
        return load.append(setting, daemon, what)

    return run


def _await_free(daemon: server.Daemon) -> None:
    """Until the sequences of the measurement before are gone."""
    with daemon.connect() as connection:
        while connection.call("server.stats")["sequences"]["live"] > 0:
            time.sleep(0.02)


def _add(part: report.Part, name: str, points: list[Point]) -> None:
    notes = ["One request in flight, 512 bytes, to the next sequence each; all on one CPU."]
    title = f"Append by sequences open, {name}"
    part.tables.append(small.growth_table(title, "sequences", points, notes))
    times = small.growth(points)
    counts = f"{report.count(points[0].x)} to {report.count(points[-1].x)} sequences"
    part.verdicts.append(
        report.growth(f"append p50, {counts}, {name}", times, small.GROWTH_PERCENT)
    )
    part.data[name] = small.data(points)
