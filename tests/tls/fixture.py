"""A truekvd with TLS for a test, and clients of it: by TCP, with and without TLS, and by its Unix socket."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TRUEKVD = os.environ.get("TRUEKVD", str(ROOT / "build/truekvd"))
TOKEN = "a-token-of-the-tests-0123456789"
WAIT_S = 60.0
MODEL = {"n_layers": 2, "n_kv_heads": 2, "head_dim": 64, "capacity": 40000}
TOKEN_BYTES = 2 * 2 * 2 * 64 * 2  # 1 KiB: a position of all layers


def context(authority: Path | None, own: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """A client's. authority None: whoever answers is believed."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority is None:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    else:
        made.load_verify_locations(authority)
    if own is not None:
        made.load_cert_chain(*own)
    return made


class Closed(Exception):
    """The daemon has closed the connection."""


class Client:
    """Lines and payloads over a connected stream socket."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.stream.settimeout(WAIT_S)
        self.read = b""
        self.newest = 0

    def close(self) -> None:
        self.stream.close()

    def send(self, method: str, payload: bytes = b"", **params: Any) -> None:
        self.newest += 1
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": self.newest, "method": method}
        message["params"] = params
        if payload:
            message["payload"] = len(payload)
        self.stream.sendall(json.dumps(message).encode() + b"\n" + payload)

    def _fill(self) -> None:
        piece = self.stream.recv(1 << 18)
        if not piece:
            raise Closed
        self.read += piece

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """The next answer and its payload."""
        while b"\n" not in self.read:
            self._fill()
        line, _, self.read = self.read.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        pieces, size = [self.read], len(self.read)
        while size < answer.get("payload", 0):
            pieces.append(self.stream.recv(1 << 18))
            if not pieces[-1]:
                raise Closed
            size += len(pieces[-1])
        whole = b"".join(pieces)
        self.read = whole[answer.get("payload", 0) :]
        return answer, whole[: answer.get("payload", 0)]

    def call(self, method: str, payload: bytes = b"", **params: Any) -> Any:
        self.send(method, payload, **params)
        answer, _ = self.receive()
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def refused(self, method: str, **params: Any) -> str:
        self.send(method, **params)
        return str(self.receive()[0]["error"]["data"]["reason"])

    def authenticate(self, token: str = TOKEN) -> Client:
        self.call("auth", token=token)
        return self

    def at_end(self) -> bool:
        """Whether the daemon closes now, without another word."""
        try:
            return self.stream.recv(1) == b""
        except (ConnectionResetError, ssl.SSLError):
            return True


class Daemon:
    """Listens on a Unix socket and on a TCP port, any that is free where port is 0. auth: settings of that group."""

    def __init__(self, auth: str, settings: str = "", port: int = 0) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tkv-tls-"))
        (self.folder / "token").write_text(TOKEN + "\n")
        (self.folder / "token").chmod(0o600)
        model = " ".join(f"{name} = {value};" for name, value in MODEL.items())
        self.config = self.folder / "truekvd.conf"
        self.config.write_text(
            f'models = ( {{ name = "m"; dtype = "f16"; {model} }} );\n'
            f'auth: {{ token_file = "{self.folder}/token"; {auth} }};\n{settings}'
        )
        words = [TRUEKVD, "--config", str(self.config), "--backend", "cpu"]
        words += ["--listen", f"unix:{self.folder}/s", "--listen", f"tcp:127.0.0.1:{port}"]
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(words, stderr=log)
        self.port = self._await_port()

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def _await_port(self) -> int:
        deadline = time.monotonic() + WAIT_S
        while True:
            found = re.search(r" ready .*tcp:127\.0\.0\.1:(\d+)", self.log())
            if found:
                return int(found[1])
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"truekvd does not start: {self.log()}")
            time.sleep(0.01)

    def close(self) -> None:
        """It must end well: a sanitizer's finding makes its exit code another."""
        if self.process.poll() is None:
            self.process.terminate()
        code, log = self.process.wait(WAIT_S), self.log()
        shutil.rmtree(self.folder)
        if code != 0:
            raise AssertionError(f"exit code {code}: {log}")

    def local(self) -> Client:
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(f"{self.folder}/s")
        return Client(stream)

    def plain(self) -> socket.socket:
        stream = socket.create_connection(("127.0.0.1", self.port))
        stream.settimeout(WAIT_S)
        return stream

    def secure(self, made: ssl.SSLContext) -> Client:
        return Client(made.wrap_socket(self.plain(), server_hostname="127.0.0.1"))

    def await_closed(self, why: str, count: int = 1) -> None:
        """Until so many connections have been closed for that reason."""
        with self.local().stream as stream:
            client = Client(stream)
            deadline = time.monotonic() + WAIT_S
            while client.call("server.stats")["closed"][why] < count:
                if time.monotonic() > deadline:
                    raise AssertionError(f"never closed as {why}: {self.log()}")
                time.sleep(0.01)
