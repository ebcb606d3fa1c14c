"""A truekvd with HTTP for a test, on a port that is free, and a client of its socket."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.daemon.setting import Failed
from bench.daemon.wire import Connection, request, result_of

ROOT = Path(__file__).resolve().parents[2]
TRUEKVD = os.environ.get("TRUEKVD", str(ROOT / "build/truekvd"))
MODELS = (
    'models = ( { name = "m"; n_layers = 2; n_kv_heads = 2; head_dim = 8; dtype = "f16"; '
    "capacity = 256; } );\n"
)
TOKEN_BYTES = 2 * 2 * 2 * 8 * 2
WAIT_S = 60.0
LONG_WORKS = 4


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Daemon:
    """Runs until close(). The configuration is `settings` and a tiny model."""

    def __init__(self, settings: str, unix_http: bool = False) -> None:
        self.folder = tempfile.mkdtemp(prefix="tkv-http-")
        self.port = free_port()
        self.socket = f"{self.folder}/s"
        self.config = f"{self.folder}/truekvd.conf"
        listen = f"unix:{self.folder}/http" if unix_http else f"tcp:127.0.0.1:{self.port}"
        http_group = f'listen = "{listen}";'
        if "http: {" in settings:
            settings = settings.replace("http: {", "http: { " + http_group)
        else:
            settings += "\nhttp: { " + http_group + " };\n"
        Path(self.config).write_text(MODELS + settings)
        with open(f"{self.folder}/log", "wb") as log:
            words = [TRUEKVD, "--config", self.config, "--listen", f"unix:{self.socket}"]
            self.process = subprocess.Popen([*words, "--backend", "cpu"], stderr=log)
        self._wait_ready()
        self.client = Connection(Path(self.socket))

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + WAIT_S
        while b" ready " not in (log := Path(f"{self.folder}/log").read_bytes()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"truekvd does not start: {log.decode()}")
            time.sleep(0.01)

    def close(self) -> None:
        """It must end well: a sanitizer's finding makes its exit code another."""
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(WAIT_S)
        log = Path(f"{self.folder}/log").read_text()
        shutil.rmtree(self.folder)
        if code != 0:
            raise AssertionError(f"exit code {code}: {log}")

    def ask(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], str]:
        """Status, headers with names in lower case, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        text = answer.read().decode()
        connection.close()
        return answer.status, found, text

    def get(self, path: str) -> tuple[int, dict[str, str], str]:
        return self.ask("GET", path)

    def call_error(self, method: str, params: dict[str, Any]) -> None:
        try:
            self.client.call(method, **params)
        except Failed:
            return
        raise AssertionError(f"{method} was done")

    def append(self, sequences: int, times: int) -> None:
        """So many one-token appends to all of so many new sequences."""
        seqs = [self.client.call("seq.create")["seq"] for _ in range(sequences)]
        rows = bytes(TOKEN_BYTES * sequences)
        message = json.loads(request("seq.append", seqs=seqs)) | {"payload": len(rows)}
        for _ in range(times):
            result_of(self.client.exchange(json.dumps(message).encode() + b"\n" + rows))

    def begin_long_work(self) -> Connection:
        """Synthetic work of some seconds; when this returns it has begun."""
        connection = Connection(Path(self.socket))
        shape = {"m": 32, "n_kv_heads": 8, "head_dim": 128, "capacity": 64, "layers": 2}
        lines = [request("debug.selftest", **shape) for _ in range(LONG_WORKS)]
        connection.exchange(b"".join(lines) + request("server.ping"))  # the ping is answered first
        return connection
