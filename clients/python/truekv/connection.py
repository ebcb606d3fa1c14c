"""One connection: requests out, answers matched by id, in whatever order they come.

The socket never blocks: while a request waits to be sent, answers are taken in, so that a long
pipeline cannot end with both sides waiting for each other. One thread at a time.
"""

from __future__ import annotations

import itertools
import os
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from truekv.errors import ConnectionLost, ProtocolError, RequestTimeout, TruekvError, from_wire
from truekv.framing import FrameReader, Message, encode
from truekv.requests import Request

T = TypeVar("T")

_BUFFERS_PER_SEND = 512  # the system takes at most IOV_MAX, 1024 on Linux


class Pending(Generic[T]):
    """An answer that is on its way."""

    def __init__(self, connection: Connection, request: Request[T]) -> None:
        self._connection = connection
        self._decode = request.decode
        self._answer: Message | None = None
        self._error: TruekvError | None = None
        self._value: tuple[T] | None = None
        self.taken = False
        """Whether result() has been called since the answer came."""

    def done(self) -> bool:
        """Whether the answer is here, so that result() will not wait."""
        return self._answer is not None or self._error is not None

    def wait(self) -> None:
        """Wait for the answer, good or bad, for at most the client's timeout: RequestTimeout."""
        if not self.done():
            self._connection.wait(self.done)

    def result(self) -> T:
        """Wait for the answer and return it, or raise its error. May be called again."""
        self.wait()
        self.taken = True
        if self._error is not None:
            raise self._error
        if self._value is None:
            assert self._answer is not None
            self._value = (self._decoded(self._answer),)
            self._answer = Message({})
        return self._value[0]

    def deliver(self, answer: Message) -> None:
        """Called by the connection."""
        if "error" in answer.header:
            self._error = from_wire(answer.header["error"])
        else:
            self._answer = answer

    def fail(self, error: TruekvError) -> None:
        """Called by the connection."""
        if not self.done():
            self._error = error

    def _decoded(self, answer: Message) -> T:
        try:
            return self._decode(answer.header["result"], answer.payload)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProtocolError(f"an answer that does not fit its method: {error}") from error


class Connection:
    """A connected socket and the requests in flight on it."""

    def __init__(
        self,
        address: str | os.PathLike[str],
        timeout: float | None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.timeout = timeout
        self._socket: socket.socket | _TlsSocket = connect(address, timeout, tls)
        self._socket.setblocking(False)
        self._reader = FrameReader()
        self._numbers = itertools.count(1)
        self._pending: dict[int, Pending[Any]] = {}
        self._ended: TruekvError | None = None

    def submit(self, request: Request[T]) -> Pending[T]:
        """Send a request, without waiting for its answer. When this returns, the payload has
        been handed to the system. ConnectionLost, RequestTimeout."""
        if self._ended is not None:
            raise ConnectionLost(f"the connection is closed: {self._ended}")
        number = next(self._numbers)
        buffers = encode(number, request.method, request.params, request.payload)
        pending = Pending(self, request)
        self._pending[number] = pending
        with self._ending_on_failure():
            self._send(deque(buffers))
        return pending

    def wait(self, done: Callable[[], bool]) -> None:
        """Take in answers until done() holds."""
        deadline = self._deadline()
        with self._ending_on_failure():
            while not done():
                if not self._receive():
                    self._poll(select.POLLIN, deadline)

    def close(self, why: TruekvError | None = None) -> None:
        """Close the socket. Whatever is in flight fails with `why`. May be called again."""
        if self._ended is None:
            self._ended = why or ConnectionLost("closed by the client")
            self._socket.close()
        for pending in self._pending.values():
            pending.fail(self._ended)
        self._pending.clear()

    @property
    def closed(self) -> bool:
        return self._ended is not None

    @contextmanager
    def _ending_on_failure(self) -> Iterator[None]:
        """Whatever interrupts sending or receiving leaves half a message behind: close."""
        try:
            yield
        except TruekvError as error:
            self.close(error)
            raise
        except OSError as error:
            lost = ConnectionLost(f"the connection was lost: {error}")
            self.close(lost)
            raise lost from error
        except BaseException as error:
            self.close(ConnectionLost(f"interrupted by {type(error).__name__}"))
            raise

    def _send(self, queue: deque[memoryview]) -> None:
        deadline = self._deadline()
        while queue:
            try:
                sent = self._socket.sendmsg(list(itertools.islice(queue, _BUFFERS_PER_SEND)))
            except BlockingIOError:
                if not self._receive():
                    self._poll(select.POLLIN | select.POLLOUT, deadline)
            except (BrokenPipeError, ConnectionResetError):
                while self._receive():  # the peer may have said why it hung up
                    pass
                raise
            else:
                _drop(queue, sent)

    def _receive(self) -> bool:
        """Take in what is there. False: nothing is."""
        try:
            count = self._socket.recv_into(self._reader.buffer())
        except BlockingIOError:
            return False
        if count == 0:
            raise ConnectionLost("the daemon closed the connection")
        for message in self._reader.advance(count):
            self._deliver(message)
        return True

    def _deliver(self, message: Message) -> None:
        number = message.header.get("id")
        if number is None and "error" in message.header:
            raise from_wire(message.header["error"])  # some request of ours: which, nobody knows
        pending = self._pending.pop(number, None) if isinstance(number, int) else None
        if pending is None:
            raise ProtocolError(f"an answer to a request that was not sent: id {number!r}")
        pending.deliver(message)

    def _deadline(self) -> float | None:
        return None if self.timeout is None else time.monotonic() + self.timeout

    def _poll(self, events: int, deadline: float | None) -> None:
        poll = select.poll()
        poll.register(self._socket, events)
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and (left <= 0 or not poll.poll(left * 1000)):
            raise RequestTimeout(f"no answer within {self.timeout} s")
        if left is None:
            poll.poll()


class _TlsSocket:
    """A TLS connection with the manners of a socket that never blocks."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock

    def sendmsg(self, buffers: list[memoryview]) -> int:
        with _would_block():
            return self._sock.send(buffers[0])

    def recv_into(self, buffer: memoryview) -> int:
        with _would_block():
            return self._sock.recv_into(buffer)

    def fileno(self) -> int:
        return self._sock.fileno()

    def setblocking(self, blocking: bool) -> None:
        self._sock.setblocking(blocking)

    def close(self) -> None:
        self._sock.close()


@contextmanager
def _would_block() -> Iterator[None]:
    try:
        yield
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
        raise BlockingIOError from error


def connect(
    address: str | os.PathLike[str], timeout: float | None, tls: ssl.SSLContext | None = None
) -> socket.socket | _TlsSocket:
    """A connected socket for "unix:PATH", "tcp:HOST:PORT" or a path. ConnectionLost, ValueError."""
    text = os.fspath(address)
    if tls is not None and not text.startswith("tcp:"):
        raise ValueError(f"TLS is for tcp:HOST:PORT, not {text}")
    try:
        if text.startswith("tcp:"):
            return _connect_tcp(*_host_and_port(text[4:]), timeout, tls)
        return _connect_unix(text.removeprefix("unix:"), timeout)
    except TimeoutError as error:
        raise RequestTimeout(f"{text} does not answer") from error
    except OSError as error:
        raise ConnectionLost(f"cannot connect to {text}: {error.strerror or error}") from error


def _connect_tcp(
    host: str, port: int, timeout: float | None, tls: ssl.SSLContext | None
) -> socket.socket | _TlsSocket:
    sock = socket.create_connection((host, port), timeout)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock if tls is None else _TlsSocket(tls.wrap_socket(sock, server_hostname=host))
    except BaseException:
        sock.close()
        raise


def _connect_unix(path: str, timeout: float | None) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def _host_and_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal():
        raise ValueError(f"tcp:HOST:PORT, not tcp:{text}")
    return host.strip("[]"), int(port)


def _drop(queue: deque[memoryview], count: int) -> None:
    """Take the first `count` bytes out of the queue."""
    while queue and count >= queue[0].nbytes:
        count -= queue.popleft().nbytes
    if count:
        queue[0] = queue[0][count:]
