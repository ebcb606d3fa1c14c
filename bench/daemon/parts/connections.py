"""What an append waits beside idle connections, and what memory each of those takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.daemon import load, report, server
from bench.daemon.parts import small
from bench.daemon.parts.small import MODEL, Point
from bench.daemon.plot import Plot, Series, svg
from bench.daemon.setting import Setting, one_cpu
from bench.daemon.wire import Connection, append_line, result_of

SEQUENCES = 16
TARGET_BYTES = 16 * 1024
BESIDE = 32  # connections that are not idle


@dataclass
class Level:
    """So many idle connections; the p50 of an append, once for each round."""

    idle: int
    p50_us: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Memory:
    """The resident set by idle connections, all of which have done the same before."""

    kind: str
    rss: list[tuple[int, int]]

    def each(self) -> float:
        (first, before), (last, after) = self.rss[0], self.rss[-1]
        return (after - before) / (last - first)

    def grown_mib(self) -> list[tuple[float, float]]:
        return [(count, (rss - self.rss[0][1]) / 2**20) for count, rss in self.rss]


def measure(setting: Setting) -> report.Part:
    idle = setting.effort.idle
    levels = [Level(one) for one in idle]
    limits = f"limits: {{ max_connections = {idle[-1] + BESIDE}; max_sequences = 1000; }};"
    config = server.Config([MODEL], [limits])
    bare = server.Config([MODEL], [limits, 'journal: { bytes = "0"; };'])
    memories = [_memory(setting, bare, kind, idle) for kind in _KINDS]
    with one_cpu(), server.truekvd(setting, config) as daemon:
        for _ in range(setting.effort.rounds):
            _climb(setting, daemon, levels)
    return _report(levels, memories)


def _climb(setting: Setting, daemon: server.Daemon, levels: list[Level]) -> None:
    """From few to many: each connection is answered a ping first, then idle."""
    with ExitStack() as stack:
        open_now = 0
        for level in levels:
            for _ in range(level.idle - open_now):
                _ping(stack.enter_context(daemon.connect()), 0)
            open_now = level.idle
            found = load.append(setting, daemon, load.Append(MODEL, SEQUENCES))
            level.p50_us.append(found.p50_us)


# ---- Memory


def _memory(setting: Setting, config: server.Config, kind: str, counts: Sequence[int]) -> Memory:
    """Of a daemon of its own, which has worked before, so that what it keeps anyway is there."""
    with server.truekvd(setting, config) as daemon, ExitStack() as stack:
        load.append(setting, daemon, load.Append(MODEL, SEQUENCES))
        first = stack.enter_context(daemon.connect())
        seq = int(first.call("seq.create", model=MODEL.name, capacity=counts[-1] + 1)["seq"])
        rss, open_now = [], 0
        for count in counts:
            for _ in range(count - open_now):
                _KINDS[kind](stack.enter_context(daemon.connect()), seq)
            open_now = count
            _ping(first, seq)  # answered after all of them were accepted
            rss.append((count, daemon.rss_bytes()))
        return Memory(kind, rss)


def _silent(_: Connection, __: int) -> None:
    pass


def _ping(connection: Connection, _: int) -> None:
    connection.call("server.ping")


def _append(connection: Connection, seq: int) -> None:
    rows = bytes(MODEL.token_bytes)
    result_of(connection.exchange(append_line(seq, len(rows)) + rows))


_KINDS: dict[str, Callable[[Connection, int], None]] = {
    "said nothing": _silent,
    "pinged once": _ping,
    "appended once": _append,
}


# ---- The report


def _report(levels: list[Level], memories: list[Memory]) -> report.Part:
    part = report.Part("connections")
    points = [Point(level.idle, level.p50_us) for level in levels]
    notes = ["One request in flight on one more connection, 512 bytes; all on one CPU."]
    title = "Append beside idle connections"
    part.tables.append(small.growth_table(title, "idle connections", points, notes))
    part.tables.append(_memory_table(memories))
    part.plots = _plots(points, memories)
    times = small.growth(points)
    what = f"append p50, {report.count(points[0].x)} to {report.count(points[-1].x)} idle"
    part.verdicts.append(report.growth(what, times, small.GROWTH_PERCENT))
    worst = max(one.each() for one in memories) / 1024
    what = "memory for each idle connection, the worst"
    part.verdicts.append(report.at_most(what, worst, TARGET_BYTES / 1024, "KiB"))
    part.data = {
        "points": small.data(points),
        "memory": {one.kind: {"rss_bytes": one.rss, "each": one.each()} for one in memories},
    }
    return part


def _memory_table(memories: list[Memory]) -> report.Table:
    rows = [
        [one.kind, report.size(one.rss[0][1]), report.size(one.rss[-1][1]), report.size(one.each())]
        for one in memories
    ]
    first, last = memories[0].rss[0][0], memories[0].rss[-1][0]
    heads = ["each of them has", f"beside {first}", f"beside {report.count(last)}", "for each"]
    title = "Memory of truekvd beside idle connections, without a journal"
    return report.Table(title, heads, rows)


def _plots(points: list[Point], memories: list[Memory]) -> dict[str, str]:
    append = small.growth_plot(
        "Append p50 beside idle connections",
        "one request in flight on one more connection, 512 bytes; all on one CPU; bars: rounds",
        "idle connections",
        {"append": points},
    )
    lines = [Series(one.kind, one.grown_mib()) for one in memories]
    title = "Memory of truekvd by idle connections"
    subtitle = (
        "growth of the resident set, by what each connection has done before; without a journal"
    )
    plot = Plot(title, subtitle, "idle connections", "growth, MiB", lines, log_x=False)
    return {"append-by-idle-connections": append, "memory-by-idle-connections": svg(plot)}
