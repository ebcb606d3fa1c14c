"""A mixed load for as long as is asked for, and what is left of it: descriptors, memory, sequences.

  soak.py [--minutes M] [--truekvd FILE] [--truekv FILE] [--plot FILE.svg]

Many kinds of clients at a time, each over and over: appends by truekv bench; sequences whose leases expire;
clients that are killed, or leave in the middle of a message; reads, truncations, budget exhaustion; connections
that come and go; verifications, scrubs and self tests; shadow mode beside all of it. At the end all clients
are gone, and the daemon must hold what it held at the start. Exits with 1 where it does not.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.daemon.plot import Plot, Series, svg
from bench.daemon.setting import Failed
from bench.daemon.wire import Connection, append_line, request, result_of

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
models = ( { name = "m"; n_layers = 4; n_kv_heads = 2; head_dim = 64; dtype = "f16"; capacity = 128; } );
memory: { budget = "64M"; };
journal: { bytes = "8M"; };
limits: { frame_ms = 3000; max_connections = 300; };
shadow: { sample = 0.05; on_divergence = "latch"; };
"""
TOKEN_BYTES = 4 * 2 * 2 * 64 * 2
CAPACITY = 128
WARM_SHARE = 0.1  # of the time: memory that is kept for reuse is there by then
RSS_GROWN_MAX = 8 << 20
RSS_JUDGED_S = 300.0  # a shorter run ends before the journal is full and the allocator has seen all
SETTLE_S = 30.0
SAMPLES = 180


@dataclass
class Sample:
    seconds: float
    descriptors: int
    threads: int
    mappings: int
    rss: int
    sequences: int
    cache_bytes: int


@dataclass
class Soak:
    socket: Path
    pid: int
    truekv: str
    end: float
    seed: int
    stopping: threading.Event = field(default_factory=threading.Event)
    failures: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)

    def connect(self) -> Connection:
        return Connection(self.socket)


def refused(error: Failed) -> bool:
    """What a busy daemon may say."""
    return any(word in str(error) for word in ("out_of_memory", "overloaded", "not_found", "already_exists"))


# --- kinds of clients: each is called over and over, with a source of chance of its own ---------------


def bench(soak: Soak, chance: random.Random) -> None:
    words = ["bench", "--seconds", "2", "--warmup", "0.1", "--json"]
    words += ["--clients", str(chance.randint(1, 8)), "--items", str(chance.randint(1, 8))]
    words += ["--in-flight", str(chance.randint(1, 8)), "--capacity", "64"]
    done = subprocess.run([soak.truekv, "-s", str(soak.socket), *words], capture_output=True, text=True)
    text = done.stdout + done.stderr
    if done.returncode != 0 and not re.search("out_of_memory|overloaded|connection_lost", text):
        raise Failed(f"truekv bench: {done.returncode} {text[-500:]}")


def leases(soak: Soak, chance: random.Random) -> None:
    """Nobody frees these: their time runs out."""
    with soak.connect() as connection:
        for _ in range(chance.randint(1, 20)):
            seq = int(connection.call("seq.create", ttl_ms=chance.randint(50, 3000), capacity=16)["seq"])
            result_of(connection.exchange(append_line(seq, TOKEN_BYTES) + bytes(TOKEN_BYTES)))


def killed(soak: Soak, chance: random.Random) -> None:
    """A process that dies with everything open."""
    code = (
        "import socket,time\n"
        f"s=socket.socket(socket.AF_UNIX); s.connect({str(soak.socket)!r})\n"
        'line=b\'{"jsonrpc":"2.0","id":1,"method":"seq.create","params":{"on_disconnect":"free"}}\\n\'\n'
        "while True: s.sendall(line); s.recv(65536); time.sleep(0.001)\n"
    )
    client = subprocess.Popen([sys.executable, "-S", "-c", code], stderr=subprocess.DEVNULL)
    time.sleep(chance.uniform(0.02, 0.5))
    client.send_signal(signal.SIGKILL)
    client.wait()


def half_messages(soak: Soak, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 20)):
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(str(soak.socket))
            message = append_line(1, TOKEN_BYTES) + bytes(TOKEN_BYTES)
            one.sendall(message[: chance.randrange(len(message))])
    time.sleep(0.02)


def expect(connection: Connection, seq: int, pos: int, token: bytes) -> None:
    found = connection.call("seq.read", seq=seq, pos=pos, tokens=1, encoding="base64")
    if base64.b64decode(found["data"]["base64"]) != token:
        raise Failed(f"sequence {seq}, token {pos}: other bytes than were appended")


def use_and_free(soak: Soak, chance: random.Random) -> None:
    """A sequence as a scheduler uses it: every byte is looked at."""
    with soak.connect() as connection:
        seq = int(connection.call("seq.create", label="soak", on_disconnect="free")["seq"])
        rows = b""
        for _ in range(chance.randint(1, 10)):
            if rows and chance.random() < 0.3:
                rows = rows[: len(rows) // TOKEN_BYTES // 2 * TOKEN_BYTES]
                connection.call("seq.truncate", seq=seq, len=len(rows) // TOKEN_BYTES)
            token = chance.randbytes(TOKEN_BYTES)
            result_of(connection.exchange(append_line(seq, TOKEN_BYTES) + token))
            rows += token
            expect(connection, seq, len(rows) // TOKEN_BYTES - 1, token)
        if chance.random() < 0.5:
            connection.call("seq.free", seqs=[seq])


def exhaust(soak: Soak, chance: random.Random) -> None:
    """Until the budget says no."""
    with soak.connect() as connection:
        for _ in range(1000):
            answer = json.loads(connection.exchange(request("seq.create", capacity=4096, on_disconnect="free")))
            if "error" in answer:
                break
    time.sleep(chance.uniform(0, 2))


def come_and_go(soak: Soak, chance: random.Random) -> None:
    connections: list[socket.socket] = []
    for _ in range(chance.randint(1, 120)):
        one = socket.socket(socket.AF_UNIX)
        one.connect(str(soak.socket))
        connections.append(one)
    time.sleep(chance.uniform(0, 0.2))
    for one in connections:
        one.close()


def verify(soak: Soak, chance: random.Random) -> None:
    with soak.connect() as connection:
        for method, params in (("debug.verify", {"batches": chance.randint(1, 200)}), ("debug.scrub", {}),
                               ("debug.selftest", {"m": 4, "head_dim": 64})):  # fmt: skip
            found = connection.call(method, **params)
            if not found["ok"]:
                raise Failed(f"{method} found something: {json.dumps(found)[:2000]}")
    time.sleep(0.3)


KINDS: list[Callable[[Soak, random.Random], None]] = [
    bench, leases, killed, half_messages, use_and_free, use_and_free, exhaust, come_and_go, verify,
]  # fmt: skip


def run_kind(soak: Soak, number: int) -> None:
    kind, chance = KINDS[number], random.Random(soak.seed * 1000 + number)
    while time.monotonic() < soak.end and not soak.stopping.is_set():
        try:
            kind(soak, chance)
        except Failed as error:
            if not refused(error):
                soak.failures.append(f"{kind.__name__}: {error}")
                soak.stopping.set()
        except OSError:
            time.sleep(0.01)  # full of connections, or closed for one that was
        soak.done[kind.__name__] = soak.done.get(kind.__name__, 0) + 1


# --- what it holds --------------------------------------------------------------------------------------


def sample(soak: Soak, connection: Connection, begin: float) -> Sample:
    proc = Path(f"/proc/{soak.pid}")
    status = proc.joinpath("status").read_text()
    stats = connection.call("server.stats")

    def number(name: str) -> int:
        found = re.search(rf"^{name}:\s*(\d+)", status, re.MULTILINE)
        return int(found[1]) if found else 0

    return Sample(
        time.monotonic() - begin,
        len(list(proc.joinpath("fd").iterdir())),
        number("Threads"),
        proc.joinpath("maps").read_text().count("\n"),
        number("VmRSS") * 1024,
        stats["sequences"]["live"],
        stats["memory"]["cache_bytes"],
    )


def watch(soak: Soak, connection: Connection, seconds: float) -> list[Sample]:
    begin, every = time.monotonic(), max(0.2, seconds / SAMPLES)
    samples = [sample(soak, connection, begin)]
    threads = [threading.Thread(target=run_kind, args=(soak, n)) for n in range(len(KINDS))]
    for thread in threads:
        thread.start()
    while time.monotonic() < soak.end and not soak.stopping.is_set():
        time.sleep(every)
        samples.append(sample(soak, connection, begin))
    for thread in threads:
        thread.join()
    return samples


def left_behind(stats: dict[str, Any]) -> dict[str, int]:
    held = {
        "sequences": stats["sequences"]["live"],
        "sequences freeing": stats["sequence_states"]["freeing"],
        "bytes of caches": stats["memory"]["cache_bytes"],
        "bytes of checksums": stats["memory"]["checksum_bytes"],
        "bytes of staging": stats["memory"]["staging_bytes"],
        "requests that wait": stats["queue"]["waiting"],
        "other connections": stats["connections"]["open"] - 1,
    }
    return {name: value for name, value in held.items() if value != 0}


def settle(connection: Connection) -> dict[str, int]:
    """The last leases expire, the last connections are seen to be gone."""
    deadline = time.monotonic() + SETTLE_S
    while (left := left_behind(connection.call("server.stats"))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def judge(soak: Soak, samples: list[Sample], last: Sample, left: dict[str, int]) -> list[str]:
    first = samples[0]
    warm = next(one for one in samples if one.seconds >= WARM_SHARE * samples[-1].seconds)
    found = soak.failures + [f"{value} {name} are left" for name, value in left.items()]
    if last.descriptors > first.descriptors:
        found.append(f"{last.descriptors} descriptors, {first.descriptors} at the start")
    workers = (os.cpu_count() or 1) - 1  # of the CPU backend; they start with the first large batch
    if last.threads > first.threads + workers:
        found.append(f"{last.threads} threads, {first.threads} at the start")
    if last.seconds >= RSS_JUDGED_S and last.rss > warm.rss + RSS_GROWN_MAX:
        found.append(f"{last.rss >> 20} MiB resident, {warm.rss >> 20} after the warm-up")
    return found


def table(samples: list[Sample], last: Sample) -> str:
    warm = next(one for one in samples if one.seconds >= WARM_SHARE * samples[-1].seconds)
    peak = Sample(*(max(getattr(one, name) for one in samples) for name in Sample.__dataclass_fields__))
    rows = [("start", samples[0]), ("after a tenth", warm), ("peak", peak), ("end, alone", last)]
    lines = [f"{'':14} {'descriptors':>11} {'threads':>8} {'mappings':>8} {'resident MiB':>13} "
             f"{'sequences':>9} {'caches MiB':>10}"]  # fmt: skip
    for name, one in rows:
        lines.append(f"{name:14} {one.descriptors:11} {one.threads:8} {one.mappings:8} {one.rss / 2**20:13.1f} "
                     f"{one.sequences:9} {one.cache_bytes / 2**20:10.1f}")  # fmt: skip
    return "\n".join(lines)


def draw(samples: list[Sample]) -> str:
    rss = Series("resident set, MiB", [(round(one.seconds / 60, 1), one.rss / 2**20) for one in samples])
    caches = Series("caches, MiB", [(round(one.seconds / 60, 1), one.cache_bytes / 2**20) for one in samples])
    files = Series("descriptors", [(round(one.seconds / 60, 1), one.descriptors) for one in samples])
    plot = Plot("truekvd under a mixed load", "clients die, leases expire, verification runs", "minutes", "",
                [rss, caches, files], log_x=False)  # fmt: skip
    return svg(plot)


# --- life -----------------------------------------------------------------------------------------------


def start(folder: Path, truekvd: str) -> subprocess.Popen[bytes]:
    folder.joinpath("conf").write_text(CONFIG)
    with folder.joinpath("log").open("wb") as log:
        words = [truekvd, "--config", f"{folder}/conf", "--listen", f"unix:{folder}/s", "--backend", "cpu"]
        process = subprocess.Popen(words, stderr=log)
    deadline = time.monotonic() + 60
    while not folder.joinpath("s").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(folder.joinpath("log").read_text())
        time.sleep(0.05)
    return process


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak.py")
    add = parser.add_argument
    add("--minutes", type=float, default=30)
    add("--seed", type=int, default=int(time.time()))
    add("--truekvd", default=os.environ.get("TRUEKVD", str(ROOT / "build/truekvd")))
    add("--truekv", default=os.environ.get("TRUEKV", str(ROOT / "build/truekv")))
    add("--plot", type=Path, metavar="FILE.svg")
    given = parser.parse_args()
    print(f"seed {given.seed}, {given.minutes:g} minutes", flush=True)
    with tempfile.TemporaryDirectory(prefix="truekv-soak-") as name:
        folder = Path(name)
        process = start(folder, given.truekvd)
        seconds = 60 * given.minutes
        soak = Soak(folder / "s", process.pid, given.truekv, time.monotonic() + seconds, given.seed)
        with soak.connect() as connection:
            samples = watch(soak, connection, seconds)
            left = settle(connection)
            stats = connection.call("server.stats")
            last = sample(soak, connection, time.monotonic() - samples[-1].seconds)
        process.terminate()
        code = process.wait(60)
        log = folder.joinpath("log").read_text()
    found = judge(soak, samples, last, left) + ([f"exit code {code}: {log[-2000:]}"] if code != 0 else [])
    print(table(samples, last))
    print("rounds:", ", ".join(f"{kind} {n}" for kind, n in sorted(soak.done.items())))
    print(f"appends {stats['append']['requests']}, sequences created {stats['sequences']['created']}, expired "
          f"{stats['sequences']['expired']}, gone with their client {stats['sequences']['disconnected']}, "
          f"connections {stats['connections']['accepted']}, verifications {stats['verify']['runs']}, "
          f"shadow batches {stats['shadow']['batches']}, divergent items {stats['verify']['divergent_items']}")  # fmt: skip
    if given.plot is not None:
        given.plot.write_text(draw(samples))
    for one in found:
        print("FAILED:", one)
    if found:
        print(json.dumps(stats["closed"]), log[-3000:], sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
