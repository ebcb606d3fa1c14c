"""A truekvd of the demo's own, in a folder of its own; both are gone afterwards."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import truekv

START_S = 30.0
STOP_S = 10.0
TIMEOUT_S = 120.0  # of one call: debug.verify re-runs everything that the journal has

_CONFIG = """\
models = (
  {{ name = "{name}"; n_layers = {layers}; n_kv_heads = {heads}; head_dim = {dim};
    dtype = "f16"; capacity = {capacity}; }}
);
journal: {{ bytes = "256M"; }};
debug: {{ allow_fault_injection = true; }};
"""


class DaemonFailed(Exception):
    """truekvd does not start, does not answer, or ends by itself."""


@dataclass(frozen=True)
class CacheModel:
    """What the daemon is told about the model whose caches it keeps."""

    name: str
    layers: int
    heads: int
    dim: int
    capacity: int = 512

    def config(self) -> str:
        return _CONFIG.format(**vars(self))


@dataclass(frozen=True)
class Place:
    """Which truekvd runs, on which backend, and in which folder it gets its own (absent: the
    system's for temporary files)."""

    binary: Path
    backend: str
    workdir: Path | None


@contextmanager
def running(place: Place, model: CacheModel) -> Iterator[str]:
    """The address of a daemon that lives as long as the `with` block."""
    with TemporaryDirectory(prefix="truekv-demo-", dir=place.workdir) as folder:
        config, log = Path(folder, "truekvd.conf"), Path(folder, "log")
        config.write_text(model.config())
        address = f"unix:{folder}/truekvd.sock"
        command = [str(place.binary), "--config", str(config), "--listen", address]
        command += ["--backend", place.backend]
        with log.open("wb") as sink:
            process = _start(command, sink)
            try:
                _await(process, address)
                yield address
            except truekv.ConnectionLost as error:
                raise DaemonFailed(_last_words(process, log)) from error
            finally:
                _stop(process)


def _start(command: list[str], sink: BinaryIO) -> subprocess.Popen[bytes]:
    """In a session of its own, so that Ctrl-C ends the demo first, and the demo the daemon."""
    try:
        return subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True)
    except OSError as error:
        raise DaemonFailed(f"cannot start {command[0]}: {error.strerror}") from error


def _await(process: subprocess.Popen[bytes], address: str) -> None:
    """Until it answers. ConnectionLost where it does not."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            with truekv.Client(address, timeout=START_S) as client:
                client.ping()
            return
        except truekv.ConnectionLost:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _last_words(process: subprocess.Popen[bytes], log: Path) -> str:
    """Why nobody answers any more."""
    try:
        what = f"truekvd ended by itself, with exit code {process.wait(2)}"
    except subprocess.TimeoutExpired:
        what = "truekvd does not answer"
    said = log.read_text(errors="replace").strip().splitlines()
    return "\n".join([f"{what}. The end of its log:", *said[-20:]])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
