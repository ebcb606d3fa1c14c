"""What an append waits, by the number of sequences that are open; it rotates over them all."""

from __future__ import annotations

from collections.abc import Callable

from bench.daemon import load, report, server
from bench.daemon.parts import small
from bench.daemon.parts.small import MODEL, Point
from bench.daemon.rounds import by_turns
from bench.daemon.setting import Setting, one_cpu

APPENDS_PER_SECOND = 12_000  # at the least: how long one round over all sequences takes
CONFIG = server.Config([MODEL], ["limits: { max_connections = 16; };"])


def measure(setting: Setting) -> report.Part:
    with one_cpu(), server.truekvd(setting, CONFIG) as daemon:
        counts, note = possible(daemon, setting.effort.sequences)
        measures = {count: _append(setting, daemon, count) for count in counts}
        found = by_turns(measures, setting.effort.rounds)
    points = [Point(count, [one.p50_us for one in found[count]]) for count in counts]
    return _report(points, note)


def possible(daemon: server.Daemon, counts: tuple[int, ...]) -> tuple[list[int], list[str]]:
    """Those that the daemon allows, and its limit in place of larger ones; a note that says so."""
    with daemon.connect() as connection:
        most = int(connection.call("server.info")["limits"]["max_sequences"])
    fine = [count for count in counts if count <= most]
    if len(fine) == len(counts):
        return fine, []
    cut = most // 1000 * 1000
    note = f"More than {report.count(most)} sequences are not possible here: limit of open files."
    return (fine + [cut] if cut > fine[-1] else fine), [note]


def _append(setting: Setting, daemon: server.Daemon, count: int) -> Callable[[], load.Load]:
    """It warms up for as long as it takes to touch every cache: a fresh one costs a page fault."""
    warmup = setting.effort.warmup + count / APPENDS_PER_SECOND
    what = load.Append(MODEL, count, warmup=warmup)
    return lambda: load.append(setting, daemon, what)


def _report(points: list[Point], note: list[str]) -> report.Part:
    part = report.Part("sequences")
    notes = ["One request in flight, 512 bytes, to the next sequence each; all on one CPU.", *note]
    title = "Append by sequences open"
    part.tables.append(small.growth_table(title, "sequences", points, notes))
    part.plots["append-by-sequences"] = small.growth_plot(
        "Append p50 by sequences open",
        "one request in flight, 512 bytes, each to the next sequence; all on one CPU; bars: rounds",
        "sequences open",
        points,
    )
    times = small.grown(points[0], points[-1]).median
    what = f"append p50, {report.count(points[0].x)} to {report.count(points[-1].x)} sequences"
    part.verdicts.append(report.growth(what, times, small.GROWTH_PERCENT))
    part.data["points"] = small.data(points)
    return part
