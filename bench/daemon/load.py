"""Load on a server, and what came of it: `truekv bench` and `redis-benchmark`."""

from __future__ import annotations

import csv
import json
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from bench.daemon.server import Daemon, Model
from bench.daemon.setting import Failed, Setting

TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Load:
    """What one run of a load generator has measured."""

    requests_per_second: float
    p50_us: float
    p99_us: float
    bytes_per_second: float = 0.0


@dataclass(frozen=True)
class Append:
    """An append load. Its defaults are one connection with one request in flight."""

    model: Model
    sequences: int
    clients: int = 1
    in_flight: int = 1
    items: int = 1
    warmup: float | None = None  # absent: the effort's


def append(
    setting: Setting, daemon: Daemon, what: Append, seconds: float | None = None
) -> Load:
    """Appends for so many seconds, the effort's unless said. Verified and scrubbed at the end: Failed where a byte is
    wrong, or where no byte was looked at."""
    warmup = setting.effort.warmup if what.warmup is None else what.warmup
    words = [str(setting.truekv), "-s", str(daemon.socket), "bench", "--json"]
    words += ["--model", what.model.name, "--capacity", str(what.model.capacity)]
    words += ["--clients", str(what.clients), "--in-flight", str(what.in_flight)]
    words += ["--items", str(what.items), "--sequences", str(what.sequences)]
    words += ["--seconds", f"{seconds or setting.effort.seconds:.3f}", "--warmup", f"{warmup:.3f}"]
    words += ["--interval-ms", "1000000"]
    said = json.loads(_run(words))
    looked_at = said["verify"]["items_checked"] + said["scrub"]["checksums_checked"]
    if not said["ok"] or not looked_at:
        raise Failed(f"the bytes of an append are not right: {said['verify']}, {said['scrub']}")
    latency = said["latency_us"]
    return Load(
        said["requests_per_second"], latency["p50"], latency["p99"], said["bytes_per_second"]
    )


def fill(setting: Setting, daemon: Daemon, what: Append) -> None:
    """Loads the daemon with what is to be measured until its journal is full of such requests:
    while it fills, and after the size of requests has changed, their memory is fresh, and every
    page of it costs a fault."""
    append(setting, daemon, replace(what, warmup=setting.effort.fill))


@dataclass(frozen=True)
class Set:
    """A load of SET with values of `size` bytes under `keys` random keys."""

    size: int
    keys: int
    clients: int = 1
    pipeline: int = 1


def redis_set(program: str, socket: Path, what: Set, requests: int) -> Load:
    words = [program, "-s", str(socket), "-t", "set", "--csv", "--precision", "3"]
    words += ["-d", str(what.size), "-r", str(what.keys), "-n", str(requests)]
    words += ["-c", str(what.clients), "-P", str(what.pipeline)]
    row = next(csv.DictReader(_run(words).splitlines()))
    rate = float(row["rps"])
    p50, p99 = float(row["p50_latency_ms"]) * 1e3, float(row["p99_latency_ms"]) * 1e3
    return Load(rate, p50, p99, rate * what.size)


def _run(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode != 0:
        raise Failed(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout
