"""Bytes a second of appends, beside those of a bare read loop on the same kind of socket.

The floor is bench_socket: a process that writes, and one that reads into memory. It reads into one
message's room, and into a region of the journal's size in turn; the faster of them is the floor.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from bench.daemon import load, report, server
from bench.daemon.rounds import Ratio, by_turns, ratio
from bench.daemon.setting import Failed, Setting

SEQUENCES = 64
LAPS = 3  # times the usual warm-up: a fresh cache costs page faults, and these are large
MODEL = server.Model("model", layers=32, heads=8, dim=128, capacity=8)


@dataclass(frozen=True)
class Case:
    name: str
    items: int
    in_flight: int
    target: float | None

    @property
    def bytes(self) -> int:
        return MODEL.token_bytes * self.items


CASES = (
    Case("stream of one token, 16 in flight", 1, 16, 0.6),
    Case("decode step of 64 sequences, 1 in flight", 64, 1, 0.5),
    Case("decode step of 64 sequences, 2 in flight", 64, 2, None),
)


@dataclass(frozen=True)
class Floor:
    """Bytes a second of the bare read loop."""

    hot: float
    rotating: float

    @property
    def faster(self) -> float:
        return max(self.hot, self.rotating)


@dataclass(frozen=True)
class Found:
    case: Case
    ours: list[float]
    floors: list[Floor]

    def ratio(self) -> Ratio:
        return ratio(self.ours, [floor.faster for floor in self.floors])


def measure(setting: Setting) -> report.Part:
    with server.truekvd(setting, server.Config([MODEL])) as daemon:
        return _report([_found(setting, daemon, case) for case in CASES], setting)


def _found(setting: Setting, daemon: server.Daemon, case: Case) -> Found:
    sequences = max(SEQUENCES, case.items * case.in_flight)
    what = load.Append(
        MODEL,
        sequences,
        in_flight=case.in_flight,
        items=case.items,
        warmup=LAPS * setting.effort.warmup,
    )
    load.fill(setting, daemon, what)

    def ours() -> float:
        return load.append(setting, daemon, what).bytes_per_second

    measures: dict[str, Callable[[], float | Floor]] = {
        "ours": ours,
        "floor": lambda: _floor(setting, case.bytes),
    }
    found = by_turns(measures, setting.effort.rounds)
    floors = [one for one in found["floor"] if isinstance(one, Floor)]
    return Found(case, [one for one in found["ours"] if isinstance(one, float)], floors)


def _floor(setting: Setting, message_bytes: int) -> Floor:
    effort = setting.effort
    words = [str(setting.bench_socket), "--bytes", str(message_bytes)]
    words += ["--region", str(effort.region_bytes), "--seconds", f"{effort.seconds / 2:.3f}"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"bench_socket: {done.stderr}")
    said = done.stdout.split()
    return Floor(hot=float(said[1]), rotating=float(said[3]))


def _report(found: list[Found], setting: Setting) -> report.Part:
    part = report.Part("stream")
    heads = ["", "a request", "truekv", "loop, hot", "loop, rotating", "ours/loop", "rounds"]
    notes = [
        "loop: bare reads of as large messages, hot into one message's room, rotating over "
        f"{report.size(setting.effort.region_bytes)}.",
        "ours/loop: over the faster of both; the median of the rounds' ratios.",
    ]
    rows = [_row(one) for one in found]
    part.tables.append(report.Table("Streams", heads, rows, notes))
    part.data["cases"] = [_data(one) for one in found]
    for one in found:
        if one.case.target is not None:
            what = f"{one.case.name}, over the bare read loop"
            part.verdicts.append(report.at_least(what, one.ratio().median, one.case.target))
    return part


def _row(found: Found) -> list[str]:
    return [
        found.case.name,
        report.size(found.case.bytes),
        report.rate(median(found.ours)),
        report.rate(median(floor.hot for floor in found.floors)),
        report.rate(median(floor.rotating for floor in found.floors)),
        str(found.ratio()),
        found.ratio().spread,
    ]


def _data(found: Found) -> dict[str, object]:
    return {
        "name": found.case.name,
        "bytes": found.case.bytes,
        "truekv_bytes_per_second": found.ours,
        "floor_bytes_per_second": [vars(floor) for floor in found.floors],
        "ratio": found.ratio().data(),
    }
