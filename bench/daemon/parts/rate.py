"""Requests a second, beside those of redis: SET of a value with the bytes of an append.

Like against like: connections against connections, each with one request in flight, and one
connection with many in flight against one that pipelines as many. (truekv keeps that many in flight
all the time; redis-benchmark sends a pipeline, waits for all of it, and sends the next.) Redis
stores under as many random keys as there are sequences. What truekv does besides, it does here,
too, as it is configured by default: it keeps what came in its journal, and sums every row. Both
servers are loaded before: the journal is full, the keys exist.

All of it twice: where the scheduler places client and server, and with both on one CPU. The former
is what a client sees; where a CPU takes long to wake up, most of it is whether there was a need to.
The latter is what the work takes, the client's with it, and wanders little.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.daemon import load, report, server
from bench.daemon.rounds import Ratio, by_turns, ratio
from bench.daemon.setting import Setting, one_cpu, redis_programs

SEQUENCES = 64
# One token of one layer, and of 32 layers: 8 K/V heads of 128 elements.
MODELS = (
    server.Model("layer", layers=1, heads=8, dim=128, capacity=64),
    server.Model("model", layers=32, heads=8, dim=128, capacity=8),
)
TARGET = 1.0
PILOT_REQUESTS = 2000
PLACEMENTS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "free": nullcontext,
    "one CPU": one_cpu,
}
NO_REDIS = "redis-server and redis-benchmark are not installed: skipped what compares with them"


@dataclass(frozen=True)
class Shape:
    """How requests come."""

    clients: int
    in_flight: int  # on each

    def __str__(self) -> str:
        if self.clients == self.in_flight == 1:
            return "1 connection, 1 in flight"
        if self.clients == 1:
            return f"1 connection, {self.in_flight} in flight"
        return f"{self.clients} connections, 1 in flight"


SHAPES = (Shape(1, 1), Shape(16, 1), Shape(64, 1), Shape(1, 16), Shape(1, 64))


@dataclass(frozen=True)
class Cell:
    """What is measured of one model in one shape."""

    placement: str
    model: server.Model
    shape: Shape
    ours: list[load.Load]
    theirs: list[load.Load]

    def rate(self, loads: list[load.Load]) -> float:
        return median(one.requests_per_second for one in loads)

    def p50(self, loads: list[load.Load]) -> float:
        return median(one.p50_us for one in loads)

    def ratio(self) -> Ratio:
        return ratio(
            [one.requests_per_second for one in self.ours],
            [one.requests_per_second for one in self.theirs],
        )


def measure(setting: Setting) -> report.Part:
    part = report.Part("rate", data={"cells": []})
    for placement, context in PLACEMENTS.items():
        with context():
            _add(part, placement, _placed(setting, placement))
    return part


def _placed(setting: Setting, placement: str) -> list[Cell]:
    programs = redis_programs()
    with server.truekvd(setting, server.Config(MODELS)) as daemon:
        if programs is None:
            return _cells(setting, placement, daemon, None, "")
        with server.redis(programs[0]) as socket:
            return _cells(setting, placement, daemon, socket, programs[1])


def _cells(
    setting: Setting, placement: str, daemon: server.Daemon, socket: Path | None, program: str
) -> list[Cell]:
    cells = []
    for model in MODELS:
        load.fill(setting, daemon, load.Append(model, SEQUENCES, in_flight=SEQUENCES))
        for shape in SHAPES:
            measures = {"ours": _ours(setting, daemon, model, shape)}
            if socket is not None:
                measures["theirs"] = _theirs(setting, socket, program, model, shape)
            found = by_turns(measures, setting.effort.rounds)
            cells.append(Cell(placement, model, shape, found["ours"], found.get("theirs", [])))
    return cells


def _ours(
    setting: Setting, daemon: server.Daemon, model: server.Model, shape: Shape
) -> Callable[[], load.Load]:
    what = load.Append(model, SEQUENCES, shape.clients, shape.in_flight)
    return lambda: load.append(setting, daemon, what)


def _theirs(
    setting: Setting, socket: Path, program: str, model: server.Model, shape: Shape
) -> Callable[[], load.Load]:
    """It takes a number of requests, not a time: a pilot run, which warms up as well, says how
    many fill the time."""
    what = load.Set(model.token_bytes, SEQUENCES, shape.clients, shape.in_flight)
    pilot = load.redis_set(program, socket, what, PILOT_REQUESTS)
    requests = max(PILOT_REQUESTS, int(pilot.requests_per_second * setting.effort.seconds))
    return lambda: load.redis_set(program, socket, what, requests)


def _add(part: report.Part, placement: str, cells: list[Cell]) -> None:
    for model in MODELS:
        part.tables.append(_table(placement, model, [one for one in cells if one.model is model]))
    part.data["cells"] += [_data(cell) for cell in cells]
    for cell in cells:
        if cell.theirs:
            what = f"{report.size(cell.model.token_bytes)}, {cell.shape}, {placement}"
            part.verdicts.append(report.at_least(what, cell.ratio().median, TARGET))


def _table(placement: str, model: server.Model, cells: list[Cell]) -> report.Table:
    heads = ["", "truekv/s", "p50 us", "redis/s", "ours/redis", "rounds"]
    notes = [
        f"{SEQUENCES} sequences of {model.capacity} tokens; {SEQUENCES} keys in redis.",
        "Medians; ours/redis is the median of the rounds' ratios.",
    ]
    if not cells[0].theirs:
        notes.append(NO_REDIS + ".")
    title = f"Request rate, {report.size(model.token_bytes)} a request, placed: {placement}"
    return report.Table(title, heads, [_row(cell) for cell in cells], notes)


def _row(cell: Cell) -> list[str]:
    """Without redis-benchmark's p50: it leaves out what a request waits for in that client, and
    is less than what its rate and its requests in flight come to."""
    rate, p50 = cell.rate(cell.ours), cell.p50(cell.ours)
    row = [str(cell.shape), report.count(rate), report.count(p50)]
    if not cell.theirs:
        return [*row, "-", "-", "-"]
    return [*row, report.count(cell.rate(cell.theirs)), str(cell.ratio()), cell.ratio().spread]


def _data(cell: Cell) -> dict[str, object]:
    found: dict[str, object] = {
        "placement": cell.placement,
        "bytes": cell.model.token_bytes,
        "clients": cell.shape.clients,
        "in_flight": cell.shape.in_flight,
        "truekv": [vars(one) for one in cell.ours],
        "redis": [vars(one) for one in cell.theirs],
    }
    if cell.theirs:
        found["ratio"] = cell.ratio().data()
    return found
