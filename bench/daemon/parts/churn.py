"""Sequences that are created and freed over and over: nothing may be left behind.

A cycle creates a sequence, appends a token, and frees it. The times of a create are those that a
Python client sees.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from statistics import median, quantiles

from bench.daemon import report, server
from bench.daemon.parts.small import MODEL
from bench.daemon.plot import Plot, Series, svg
from bench.daemon.setting import Failed, Setting
from bench.daemon.wire import Connection, append_line, request, result_of

SAMPLES = 50  # of the memory, over all cycles
SETTLE_SHARE = 0.1  # of the cycles: memory that is kept for reuse, the journal, is there by then
TARGET_MIB = 1.0
SETTINGS = ["journal: { bytes = 1048576; };"]  # small, so that it is full soon


@dataclass
class Churn:
    create_us: list[float] = field(default_factory=list)
    free_us: list[float] = field(default_factory=list)
    rss: list[tuple[int, int]] = field(default_factory=list)  # after so many cycles
    device: list[tuple[int, int]] = field(default_factory=list)  # the GPU's memory in use, likewise


def _grown_bytes(samples: list[tuple[int, int]]) -> int:
    """From when memory had settled to the end."""
    settled = next(one for cycle, one in samples if cycle >= SETTLE_SHARE * samples[-1][0])
    return samples[-1][1] - settled


def measure(setting: Setting) -> report.Part:
    config = server.Config([MODEL], SETTINGS)
    with server.truekvd(setting, config) as daemon, daemon.connect() as connection:
        before = _memory(connection)
        churn = _run(daemon, connection, setting)
        after = _memory(connection)
        _verify(connection)
    left = {name: after[name] - before[name] for name in before}
    return _report(churn, left, setting.effort.cycles)


def _memory(connection: Connection) -> dict[str, int]:
    stats = connection.call("server.stats")
    memory = {name: stats["memory"][name] for name in ("cache_bytes", "checksum_bytes")}
    return memory | {"sequences": stats["sequences"]["live"]}


def _gpu_bytes() -> int:
    """What the driver counts as in use: the daemon's, and the context's."""
    words = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failed(f"nvidia-smi: {error}") from error
    return int(done.stdout.splitlines()[0]) << 20


def _sample(setting: Setting, daemon: server.Daemon, churn: Churn, cycle: int) -> None:
    churn.rss.append((cycle, daemon.rss_bytes()))
    if setting.backend == "cuda":
        churn.device.append((cycle, _gpu_bytes()))


def _run(daemon: server.Daemon, connection: Connection, setting: Setting) -> Churn:
    churn, cycles = Churn(), setting.effort.cycles
    every = max(1, cycles // SAMPLES)
    create = request("seq.create", model=MODEL.name, capacity=MODEL.capacity)
    rows = bytes(range(256)) * (MODEL.token_bytes // 256)
    for cycle in range(cycles):
        if cycle % every == 0:
            _sample(setting, daemon, churn, cycle)
        _cycle(connection, create, rows, churn)
    _sample(setting, daemon, churn, cycles)
    return churn


def _cycle(connection: Connection, create: bytes, rows: bytes, churn: Churn) -> None:
    begin = time.perf_counter()
    answer = connection.exchange(create)
    created = time.perf_counter()
    seq = int(result_of(answer)["seq"])
    result_of(connection.exchange(append_line(seq, len(rows)) + rows))
    free = b'{"jsonrpc":"2.0","id":1,"method":"seq.free","params":{"seqs":[%d]}}\n' % seq
    freeing = time.perf_counter()
    answer = connection.exchange(free)
    freed = time.perf_counter()
    result_of(answer)
    churn.create_us.append(1e6 * (created - begin))
    churn.free_us.append(1e6 * (freed - freeing))


def _verify(connection: Connection) -> None:
    """What the journal still has is re-run; the caches themselves are gone."""
    if not connection.call("debug.verify")["ok"]:
        raise Failed("debug.verify found wrong bytes")


def _report(churn: Churn, left: dict[str, int], cycles: int) -> report.Part:
    part = report.Part("churn")
    heads = ["", "p50 us", "p99 us", "max us"]
    rows = [_row("seq.create", churn.create_us), _row("seq.free", churn.free_us)]
    grown = _grown_bytes(churn.rss)
    notes = [
        _grown_note("Resident set", churn.rss),
        f"Left of the daemon's own counts: {left['cache_bytes']} bytes of caches, "
        f"{left['checksum_bytes']} of checksums, {left['sequences']} sequences.",
    ]
    if churn.device:
        notes.append(_grown_note("Memory in use on the GPU", churn.device))
    title = f"{report.count(cycles)} cycles of create, append, free"
    part.tables.append(report.Table(title, heads, rows, notes))
    over = report.at_most("resident set grown", grown / 2**20, TARGET_MIB, "MiB")
    leak = report.at_most("left by the daemon's counts", sum(left.values()), 0, "bytes")
    part.verdicts += [over, leak]
    if churn.device:
        device = _grown_bytes(churn.device) / 2**20
        part.verdicts.append(report.at_most("memory on the GPU grown", device, TARGET_MIB, "MiB"))
    part.plots["memory-by-churn"] = _plot(churn)
    part.data = {
        "cycles": cycles,
        "left": left,
        "rss_bytes": churn.rss,
        "device_bytes": churn.device,
        "create_us": _points(churn.create_us),
        "free_us": _points(churn.free_us),
    }
    return part


def _grown_note(what: str, samples: list[tuple[int, int]]) -> str:
    first, last, grown = samples[0][1], samples[-1][1], _grown_bytes(samples)
    return (
        f"{what}: {report.size(first)} at the start, {report.size(last)} at the end; "
        f"from a tenth of the cycles on it grew by {grown / 1024:.0f} KiB."
    )


def _points(times: list[float]) -> dict[str, float]:
    return {"p50": median(times), "p99": quantiles(times, n=100)[98], "max": max(times)}


def _row(name: str, times: list[float]) -> list[str]:
    return [name, *(f"{one:.0f}" for one in _points(times).values())]


def _plot(churn: Churn) -> str:
    line = Series("resident set", [(cycle, rss / 2**20) for cycle, rss in churn.rss])
    title = "Memory of truekvd over cycles of create, append, free"
    subtitle = "resident set; one sequence at a time"
    return svg(Plot(title, subtitle, "cycles", "resident set, MiB", [line], log_x=False))
