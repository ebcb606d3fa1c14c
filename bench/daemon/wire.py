"""The daemon's protocol as far as the benchmarks speak it themselves: one request at a time."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any, Self

from bench.daemon.setting import Failed

TIMEOUT_S = 60.0
_CHUNK = 1 << 20


class Connection:
    """A connection to truekvd. OSError where nobody listens."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))  # blocking: where many come at once, it waits its turn
        except OSError:
            self._socket.close()
            raise
        self._socket.settimeout(TIMEOUT_S)

    def exchange(self, line: bytes) -> bytes:
        """Sends a line, waits for one, and does not look into it: for what is timed."""
        self._socket.sendall(line)
        pieces: list[bytes] = []
        while True:
            piece = self._socket.recv(_CHUNK)
            if not piece:
                raise Failed("truekvd closed the connection")
            pieces.append(piece)
            if piece.endswith(b"\n"):
                return b"".join(pieces)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A request's result. Failed where the daemon says no."""
        return result_of(self.exchange(request(method, **params)))

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def request(method: str, **params: Any) -> bytes:
    """The line of a request with id 1."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def append_line(seq: int, payload: int) -> bytes:
    """The line of an append to one sequence; its payload follows."""
    head = b'{"jsonrpc":"2.0","id":1,"method":"seq.append","params":{"seqs":[%d]},"payload":%d}\n'
    return head % (seq, payload)


def result_of(line: bytes) -> dict[str, Any]:
    """What an answer says. Failed where it is an error."""
    answer: dict[str, Any] = json.loads(line)
    if "result" not in answer:
        raise Failed(f"truekvd says: {answer.get('error')}")
    result: dict[str, Any] = answer["result"]
    return result
