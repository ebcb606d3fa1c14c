"""What a run of the suite is given: programs, a backend, and how much effort to spend."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.daemon import ROOT


class Failed(Exception):
    """A benchmark cannot go on: a program does not start, says no, or bytes are wrong."""


@dataclass(frozen=True)
class Effort:
    """How long everything takes. Counts are upper ends or the points of a plot."""

    name: str
    rounds: int  # of measurements by turns
    seconds: float  # of each measurement
    warmup: float
    starts: int
    sequences: tuple[int, ...]
    idle: tuple[int, ...]
    items: tuple[int, ...]
    cycles: int  # of create and free
    region_bytes: int  # that the bare read loop rotates over
    fill: float  # seconds of load before anything is measured, so that the journal is full
    judged: bool = True  # whether the targets are looked at


FULL = Effort(
    name="full",
    rounds=5,
    seconds=0.4,
    warmup=0.2,
    starts=20,
    sequences=(10, 100, 1000, 10_000, 100_000),
    idle=(1, 10, 100, 1000, 5000),
    items=(1, 4, 16, 64, 256, 512),
    cycles=100_000,
    region_bytes=256 << 20,
    fill=2.0,
)
QUICK = Effort(
    name="quick",
    rounds=3,
    seconds=0.3,
    warmup=0.1,
    starts=7,
    sequences=(10, 100, 1000, 10_000),
    idle=(1, 100, 2000),
    items=(1, 8, 64, 512),
    cycles=10_000,
    region_bytes=256 << 20,
    fill=1.0,
)
TINY = Effort(
    name="tiny",
    rounds=1,
    seconds=0.03,
    warmup=0.01,
    starts=2,
    sequences=(10, 100),
    idle=(1, 20),
    items=(1, 8),
    cycles=200,
    region_bytes=8 << 20,
    fill=0.03,
    judged=False,
)


@dataclass(frozen=True)
class Setting:
    """Programs and choices that every part gets."""

    build: Path
    backend: str
    effort: Effort
    init_program: Path | None = None

    @property
    def truekvd(self) -> Path:
        return self.build / "truekvd"

    @property
    def truekv(self) -> Path:
        return self.build / "truekv"

    @property
    def bench_socket(self) -> Path:
        return self.build / "bench_socket"

    def missing(self) -> list[str]:
        """Programs of the build folder that are not there."""
        programs = (self.truekvd, self.truekv, self.bench_socket)
        return [str(one) for one in programs if not os.access(one, os.X_OK)]


def redis_programs() -> tuple[str, str] | None:
    """redis-server and redis-benchmark, where both are installed."""
    server, client = shutil.which("redis-server"), shutil.which("redis-benchmark")
    return (server, client) if server and client else None


def allow_files() -> int:
    """Raises the limit of open files as far as it goes, for children too; returns it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@contextmanager
def one_cpu() -> Iterator[None]:
    """What is started within runs on one CPU, the last: then a time is what the work takes, and
    not where the scheduler happens to put the threads, and how fast a CPU wakes from its sleep."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def described(setting: Setting) -> dict[str, str]:
    """The machine and the programs, for the head of a report."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": _output(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]),
        "effort": setting.effort.name,
        "backend": setting.backend,
        "cpu": f"{os.cpu_count()} x {_cpu_name()}",
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "redis": _output(["redis-server", "--version"]),
    }


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return done.stdout.strip()


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
