"""A peer whose every byte the test decides: a socket, and a function that plays the daemon."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable
from typing import Any, Self


class Peer:
    """The daemon's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._stream = sock.makefile("rb")

    def request(self) -> tuple[dict[str, Any], bytes]:
        """The next request's header and payload. EOFError when the client is gone."""
        line = self._stream.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        header = json.loads(line)
        return header, self._stream.read(header.get("payload", 0))

    def answer(self, request: dict[str, Any], result: Any, payload: bytes = b"") -> None:
        self.sock.sendall(answer_bytes(request["id"], result, payload))

    def refuse(self, request: dict[str, Any], code: int, data: dict[str, Any]) -> None:
        error = {"code": code, "message": f"no: {data['reason']}", "data": data}
        answer = {"jsonrpc": "2.0", "id": request["id"], "error": error}
        self.sock.sendall(json.dumps(answer).encode() + b"\n")


def answer_bytes(number: int, result: Any, payload: bytes = b"") -> bytes:
    header: dict[str, Any] = {"jsonrpc": "2.0", "id": number, "result": result}
    if payload:
        header["payload"] = len(payload)
    return json.dumps(header).encode() + b"\n" + payload


class FakeServer:
    """Runs `play(peer)` for each connection, one after the other, in a thread of its own.

    What play() raises, but EOFError and the client's hanging up, is raised again by close().
    """

    def __init__(self, play: Callable[[Peer], None]) -> None:
        self._play = play
        self._folder = tempfile.TemporaryDirectory(prefix="truekv-test-")
        self.path = os.path.join(self._folder.name, "s")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock:
                try:
                    self._play(Peer(sock))
                except (EOFError, ConnectionError):
                    pass
                except Exception as failure:  # for close() to raise
                    self._failure = failure
                    return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        self._folder.cleanup()
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
