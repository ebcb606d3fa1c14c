"""Bytes <-> messages, without I/O. A message is one line of JSON and, where its member "payload"
is N > 0, N raw bytes straight after the newline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from truekv.errors import ProtocolError

LINE_BYTES_MAX = 256 << 20
PAYLOAD_BYTES_MAX = 1 << 40
_SCRATCH_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Message:
    header: Mapping[str, Any]
    payload: memoryview | None = None


def encode(
    number: int, method: str, params: Mapping[str, Any], payload: Sequence[memoryview]
) -> list[memoryview]:
    """A request as buffers to send one after the other; the payload's are not copied."""
    header: dict[str, Any] = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    size = sum(one.nbytes for one in payload)
    if size > 0:
        header["payload"] = size
    line = json.dumps(header, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    return [memoryview(line), *(one for one in payload if one.nbytes > 0)]


class FrameReader:
    """Cuts a byte stream into messages, however it arrives. Receive into `buffer()`, then say
    `advance(n)`; large payloads are received where they will stay."""

    def __init__(self) -> None:
        self._scratch = bytearray(_SCRATCH_BYTES)
        self._line = bytearray()
        self._header: Mapping[str, Any] | None = None
        self._payload = memoryview(b"")
        self._filled = 0

    def buffer(self) -> memoryview:
        """Where the next bytes go. Never empty; valid until the next advance()."""
        if self._header is not None:
            return self._payload[self._filled :]
        return memoryview(self._scratch)

    def advance(self, count: int) -> list[Message]:
        """Take `count` bytes of buffer(); return the messages that they complete.
        ProtocolError: the stream cannot be followed any more."""
        if self._header is None:
            return self._take_scratch(count)
        self._filled += count
        return self._finished()

    def _take_scratch(self, end: int) -> list[Message]:
        messages: list[Message] = []
        start = 0
        while start < end:
            take = self._take_line if self._header is None else self._take_payload
            start = take(start, end)
            messages += self._finished()
        return messages

    def _take_line(self, start: int, end: int) -> int:
        """Eat up to a newline and, where there is one, start its message."""
        newline = self._scratch.find(b"\n", start, end)
        self._line += self._scratch[start : newline if newline >= 0 else end]
        if len(self._line) > LINE_BYTES_MAX:
            raise ProtocolError(f"a line over {LINE_BYTES_MAX} bytes")
        if newline < 0:
            return end
        line, self._line = self._line.strip(), bytearray()
        if line:
            self._start(parse_header(line))
        return newline + 1

    def _start(self, header: Mapping[str, Any]) -> None:
        size = header.get("payload", 0)
        if not isinstance(size, int) or not 0 <= size <= PAYLOAD_BYTES_MAX:
            raise ProtocolError(f"a payload of {size!r} bytes")
        self._header = header
        self._payload = np.empty(size, dtype=np.uint8).data if size else memoryview(b"")
        self._filled = 0

    def _take_payload(self, start: int, end: int) -> int:
        count = min(end - start, self._payload.nbytes - self._filled)
        self._payload[self._filled : self._filled + count] = self._scratch[start : start + count]
        self._filled += count
        return start + count

    def _finished(self) -> list[Message]:
        if self._header is None or self._filled < self._payload.nbytes:
            return []
        message = Message(self._header, self._payload if self._payload.nbytes else None)
        self._header, self._payload, self._filled = None, memoryview(b""), 0
        return [message]


def parse_header(line: bytes | bytearray) -> Mapping[str, Any]:
    """The JSON object of a line. ProtocolError for anything else."""
    try:
        header = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a line that is not JSON: {bytes(line[:80])!r}") from error
    if not isinstance(header, dict):
        raise ProtocolError(f"a line that is no object: {bytes(line[:80])!r}")
    return header


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
