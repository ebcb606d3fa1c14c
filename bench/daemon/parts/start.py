"""How long truekvd takes from its start until it serves.

Until READY=1, which it says to its supervisor (sd_notify) when it listens, and until a client that
connects then has its first ping answered. Both from just before the process is made, so that fork
and exec, and the dynamic linker, are in it. With --init-program, a program that does nothing but
initialise the device takes turns with it: it prints the milliseconds that it took, as a number.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.daemon import report, server
from bench.daemon.rounds import by_turns
from bench.daemon.setting import Failed, Setting
from bench.daemon.wire import Connection

MODEL = server.Model("model", layers=32, heads=8, dim=128, capacity=8192)
TARGET_MS = 50.0
MESSAGE_BYTES = 4096


@dataclass(frozen=True)
class Start:
    """Milliseconds."""

    ready: float
    answered: float


def measure(setting: Setting) -> report.Part:
    measures: dict[str, Callable[[], Start]] = {"truekvd": lambda: _start(setting)}
    program = setting.init_program
    if program is not None:
        measures["init"] = lambda: _initialise(program)
    _start(setting)  # so that the programs are in the page cache
    return _report(setting, by_turns(measures, setting.effort.starts))


def _start(setting: Setting) -> Start:
    with TemporaryDirectory(prefix="truekv-bench-") as name:
        folder = Path(name)
        words = server.command(setting, folder, server.Config([MODEL]))
        with _notify_socket(folder / "notify") as notify, (folder / "log").open("wb") as log:
            environment = os.environ | {"NOTIFY_SOCKET": f"{folder}/notify"}
            begin = time.perf_counter()
            process = subprocess.Popen(words, stdout=log, stderr=log, env=environment)
            try:
                return _times(notify, folder / "kv.sock", begin)
            finally:
                server.stop(process)


def _times(notify: socket.socket, path: Path, begin: float) -> Start:
    try:
        while b"READY=1" not in notify.recv(MESSAGE_BYTES).split(b"\n"):
            pass
    except TimeoutError as error:
        raise Failed("truekvd does not say READY=1") from error
    ready = time.perf_counter()
    with Connection(path) as connection:
        connection.call("server.ping")
    return Start(1e3 * (ready - begin), 1e3 * (time.perf_counter() - begin))


def _notify_socket(path: Path) -> socket.socket:
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(path))
    notify.settimeout(server.START_S)
    return notify


def _initialise(program: Path) -> Start:
    done = subprocess.run([str(program)], capture_output=True, text=True)
    try:
        took = float(done.stdout)
    except ValueError:
        raise Failed(f"{program} printed no number: {done.stdout}{done.stderr}") from None
    return Start(took, took)


def _report(setting: Setting, found: dict[str, list[Start]]) -> report.Part:
    part = report.Part("start")
    starts = found["truekvd"]
    rows = [
        _row("truekvd, until READY=1", [one.ready for one in starts]),
        _row("truekvd, until the first ping is answered", [one.answered for one in starts]),
    ]
    if "init" in found:
        rows.append(_row("device initialised, alone", [one.ready for one in found["init"]]))
    heads = ["", "median ms", "least", "greatest"]
    title = f"Start-up, {setting.backend} backend, {len(starts)} starts"
    part.tables.append(report.Table(title, heads, rows))
    part.data = {name: [vars(one) for one in all_of] for name, all_of in found.items()}
    ready = median(one.ready for one in starts)
    if setting.backend == "cpu":
        part.verdicts.append(report.at_most("start until READY=1", ready, TARGET_MS, "ms"))
    return part


def _row(name: str, times: list[float]) -> list[str]:
    return [name, *(f"{one:.1f}" for one in (median(times), min(times), max(times)))]
