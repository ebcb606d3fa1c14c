"""Servers of a benchmark's own, each on a Unix socket in a temporary folder that goes with it."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.daemon.setting import Failed, Setting
from bench.daemon.wire import Connection

START_S = 30.0
STOP_S = 20.0


@dataclass(frozen=True)
class Model:
    """What the configuration says of a model; f16 always."""

    name: str
    layers: int
    heads: int
    dim: int
    capacity: int

    @property
    def token_bytes(self) -> int:
        return self.layers * 2 * self.heads * self.dim * 2

    def config(self) -> str:
        return (
            f'  {{ name = "{self.name}"; n_layers = {self.layers}; n_kv_heads = {self.heads}; '
            f'head_dim = {self.dim}; dtype = "f16"; capacity = {self.capacity}; }}'
        )


@dataclass(frozen=True)
class Config:
    """A configuration: the defaults of truekvd, but for models and what `settings` says."""

    models: Sequence[Model]
    settings: Sequence[str] = field(default_factory=tuple)

    def text(self) -> str:
        models = ",\n".join(model.config() for model in self.models)
        return "\n".join([f"models = (\n{models}\n);", *self.settings, ""])


@dataclass(frozen=True)
class Daemon:
    """A truekvd that runs."""

    socket: Path
    pid: int

    def connect(self) -> Connection:
        return Connection(self.socket)

    def rss_bytes(self) -> int:
        """Memory of the process as the system counts it."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s*(\d+) kB$", status, re.MULTILINE)
        if found is None:
            raise Failed("truekvd is gone")
        return int(found[1]) * 1024


def command(setting: Setting, folder: Path, config: Config) -> list[str]:
    """Writes the configuration into the folder; how to start truekvd with it."""
    Path(folder, "truekvd.conf").write_text(config.text())
    words = [str(setting.truekvd), "--config", f"{folder}/truekvd.conf"]
    return words + ["--listen", f"unix:{folder}/kv.sock", "--backend", setting.backend]


@contextmanager
def truekvd(setting: Setting, config: Config) -> Iterator[Daemon]:
    """A daemon that lives as long as the `with` block."""
    with TemporaryDirectory(prefix="truekv-bench-") as name:
        folder, log = Path(name), Path(name, "log")
        with _process(command(setting, folder, config), log) as process:
            await_socket(process, folder / "kv.sock", log)
            try:
                yield Daemon(folder / "kv.sock", process.pid)
            except Failed as error:
                raise Failed(f"{error}\n{_last_words(log)}") from error


@contextmanager
def redis(program: str) -> Iterator[Path]:
    """The socket of a redis-server that keeps nothing on disk."""
    with TemporaryDirectory(prefix="truekv-bench-") as name:
        socket, log = Path(name, "redis.sock"), Path(name, "log")
        words = [program, "--port", "0", "--unixsocket", str(socket), "--dir", name]
        words += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        with _process(words, log) as process:
            _await_redis(process, socket, log)
            yield socket


def await_socket(process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    """Until the daemon answers a ping."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            with Connection(socket) as connection:
                connection.call("server.ping")
            return
        except OSError:
            _check_alive(process, deadline, log)
            time.sleep(0.01)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _process(words: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as sink:
        process = subprocess.Popen(words, stdout=sink, stderr=sink, start_new_session=True)
    try:
        yield process
    finally:
        stop(process)


def _await_redis(process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while not socket.exists():
        _check_alive(process, deadline, log)
        time.sleep(0.01)


def _check_alive(process: subprocess.Popen[bytes], deadline: float, log: Path) -> None:
    if process.poll() is None and time.monotonic() < deadline:
        return
    raise Failed(f"{process.args!r} does not start\n{_last_words(log)}")


def _last_words(log: Path) -> str:
    said = log.read_text(errors="replace").strip().splitlines()
    return "\n".join(["its log ends:", *said[-10:]])
