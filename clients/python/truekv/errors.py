"""Exceptions: one class for each reason of the wire protocol, and two for the connection.

    TruekvError                     code, reason, message, data
      NotFound, PositionMismatch…   the daemon said no; the connection goes on
      ConnectionLost                no answer will come any more (also a ConnectionError)
        RequestTimeout              … because the time was up   (also a TimeoutError)
      ProtocolError                 the peer said something that is not the protocol

A reason that this version does not know is raised as a plain TruekvError.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class TruekvError(Exception):
    """Base of all. `code` is None and `reason` is "" where the error is not the daemon's."""

    wire_reason = ""

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        reason: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.data: Mapping[str, Any] = {} if data is None else data

    @property
    def items(self) -> list[Mapping[str, Any]]:
        """What was wrong with which item: {index, seq, reason, …}; empty where that is not told."""
        return list(self.data.get("items", ()))

    def _detail(self, name: str) -> Any:
        """A member of `data`, or of the first item that failed for this error's reason."""
        if name in self.data:
            return self.data[name]
        for item in self.items:
            if name in item and item.get("reason") == self.reason:
                return item[name]
        return None

    def _number(self, name: str) -> int | None:
        value = self._detail(name)
        return value if isinstance(value, int) else None

    def _text(self, name: str) -> str | None:
        value = self._detail(name)
        return value if isinstance(value, str) else None


class ParseError(TruekvError):
    """The daemon could not read the message as JSON."""

    wire_reason = "parse_error"


class InvalidRequest(TruekvError):
    """JSON, but not a JSON-RPC 2.0 request."""

    wire_reason = "invalid_request"


class MethodNotFound(TruekvError):
    """The daemon has no such method."""

    wire_reason = "method_not_found"

    @property
    def method(self) -> str | None:
        return self._text("method")


class InvalidParams(TruekvError):
    """A parameter is missing, unknown, of the wrong type or size. `param` names it."""

    wire_reason = "invalid_params"

    @property
    def param(self) -> str | None:
        return self._text("param")


class InternalError(TruekvError):
    """A fault of the daemon itself."""

    wire_reason = "internal_error"


class _OfSequence(TruekvError):
    @property
    def seq(self) -> int | None:
        """The sequence at fault (the first of them; `items` names all)."""
        return self._number("seq")


class NotFound(_OfSequence):
    """No such sequence (or model)."""

    wire_reason = "not_found"


class AlreadyExists(_OfSequence):
    """The sequence's number is taken."""

    wire_reason = "already_exists"


class PositionMismatch(_OfSequence):
    """`pos` was not the length of those layers; `expected` is. Nothing was written."""

    wire_reason = "position_mismatch"

    @property
    def expected(self) -> int | None:
        return self._number("expected")


class CapacityExceeded(_OfSequence):
    """The block does not fit behind `len` of `capacity` tokens. Nothing was written."""

    wire_reason = "capacity_exceeded"

    @property
    def len(self) -> int | None:
        return self._number("len")

    @property
    def capacity(self) -> int | None:
        return self._number("capacity")


class OutOfMemory(TruekvError):
    """The daemon's budget or device is full; `needed` and `available` are bytes."""

    wire_reason = "out_of_memory"

    @property
    def needed(self) -> int | None:
        return self._number("needed")

    @property
    def available(self) -> int | None:
        return self._number("available")


class Overloaded(TruekvError):
    """Too much at once; worth another try after `retry_after_ms` milliseconds."""

    wire_reason = "overloaded"

    @property
    def retry_after_ms(self) -> int | None:
        return self._number("retry_after_ms")


class TooLarge(TruekvError):
    """`size` is over the daemon's `limit`."""

    wire_reason = "too_large"

    @property
    def limit(self) -> int | None:
        return self._number("limit")

    @property
    def size(self) -> int | None:
        return self._number("size")


class BackendFailed(TruekvError):
    """The device is lost; the daemon is about to end and to be started again."""

    wire_reason = "backend_failed"


class Draining(TruekvError):
    """The daemon is shutting down and takes no new work."""

    wire_reason = "draining"


class PermissionDenied(TruekvError):
    """The configuration does not allow this."""

    wire_reason = "permission_denied"


class NotSupported(TruekvError):
    """This daemon cannot do that."""

    wire_reason = "not_supported"


class OutOfRange(TruekvError):
    """Positions past the length of a named layer."""

    wire_reason = "out_of_range"


class ConnectionLost(TruekvError, ConnectionError):
    """The connection could not be made, or ended; what was in flight has no answer.

    Whether a lost append took effect is not known. Given with `pos`, it can be sent again on a
    new connection: PositionMismatch then says that it had.
    """


class RequestTimeout(ConnectionLost, TimeoutError):
    """No answer within the client's timeout. The client has closed the connection."""


class ProtocolError(TruekvError):
    """The peer's bytes are not this protocol. The client has closed the connection."""


BY_REASON: dict[str, type[TruekvError]] = {
    cls.wire_reason: cls
    for cls in (
        ParseError,
        InvalidRequest,
        MethodNotFound,
        InvalidParams,
        InternalError,
        NotFound,
        AlreadyExists,
        PositionMismatch,
        CapacityExceeded,
        OutOfMemory,
        Overloaded,
        TooLarge,
        BackendFailed,
        Draining,
        PermissionDenied,
        NotSupported,
        OutOfRange,
    )
}


def from_wire(error: Any) -> TruekvError:
    """The exception for the `error` member of an answer."""
    if not isinstance(error, dict) or not isinstance(error.get("code"), int):
        return ProtocolError(f"an error without a code: {error!r}")
    data = error.get("data")
    data = data if isinstance(data, dict) else {}
    reason = str(data.get("reason", ""))
    kind = BY_REASON.get(reason, TruekvError)
    return kind(str(error.get("message", reason)), code=error["code"], reason=reason, data=data)
