"""Client: blocking calls, one for each method of the daemon. Pipeline: many at once."""

from __future__ import annotations

import functools
import inspect
import os
import ssl
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from truekv import requests
from truekv.connection import Connection, Pending
from truekv.requests import Request
from truekv.results import SequenceInfo

P = ParamSpec("P")
T = TypeVar("T")

TIMEOUT_S = 30.0


def _blocking(build: Callable[P, Request[T]]) -> Callable[Concatenate[Client, P], T]:
    """A method of Client that sends what `build` makes and waits for the answer."""

    def call(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.submit(build(*args, **kwargs)).result()

    return _documented(call, build)


def _pipelined(build: Callable[P, Request[T]]) -> Callable[Concatenate[Pipeline, P], Pending[T]]:
    """A method of Pipeline that sends what `build` makes and does not wait."""

    def call(self: Pipeline, /, *args: P.args, **kwargs: P.kwargs) -> Pending[T]:
        return self.submit(build(*args, **kwargs))

    return _documented(call, build)


F = TypeVar("F", bound=Callable[..., Any])


def _documented(call: F, build: Callable[..., Any]) -> F:
    """`call` with the name, text and parameters of `build`, as help() shows them."""
    functools.update_wrapper(call, build)
    signature = inspect.signature(build)
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    returns = str(signature.return_annotation).removeprefix("Request[").removesuffix("]")
    call.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[this, *signature.parameters.values()], return_annotation=returns
    )
    return call


def _token(token: str | None, file: str | os.PathLike[str] | None) -> str | None:
    """The token that is given, or what a file holds."""
    if file is None:
        return token
    if token is not None:
        raise ValueError("give token or token_file, not both")
    with open(file, encoding="utf-8") as stream:
        token = stream.read().strip()
    if not token:
        raise ValueError(f"{os.fspath(file)} holds no token")
    return token


class Client:
    """A connection to truekvd, for one thread at a time; closed at the end of a `with` block.

    `address`: "unix:PATH", "tcp:HOST:PORT", or the path of a Unix socket. `timeout`: seconds that
    one call may take, None for no limit. When it is up, or when anything interrupts a call (Ctrl-C
    too), the connection is closed, since half a message may be under way: make a new client.

    Over TCP a daemon wants a token: `token`, or `token_file`, whose white space at the end does not
    count. `tls`: an ssl.SSLContext for "tcp:", such as ssl.create_default_context(cafile=...); the
    certificate must name HOST.

    Raises ConnectionLost where nobody listens, PermissionDenied where the token is not the daemon's,
    OSError or ValueError where the file gives none. Every other error is a TruekvError.
    """

    def __init__(
        self,
        address: str | os.PathLike[str],
        *,
        timeout: float | None = TIMEOUT_S,
        token: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        token = _token(token, token_file)
        self._connection = Connection(address, timeout, tls)
        if token is not None:
            self._show(token)

    def _show(self, token: str) -> None:
        try:
            self.submit(requests.auth(token)).result()
        except BaseException:
            self.close()
            raise

    ping = _blocking(requests.ping)
    info = _blocking(requests.info)
    stats = _blocking(requests.stats)
    create = _blocking(requests.create)
    append = _blocking(requests.append)
    truncate = _blocking(requests.truncate)
    free = _blocking(requests.free)
    seq_info = _blocking(requests.seq_info)
    list_page = _blocking(requests.list_page)
    read = _blocking(requests.read)
    verify = _blocking(requests.verify)
    last_report = _blocking(requests.last_report)
    scrub = _blocking(requests.scrub)
    selftest = _blocking(requests.selftest)
    inject = _blocking(requests.inject)
    reload = _blocking(requests.reload)
    drain = _blocking(requests.drain)
    log_level = _blocking(requests.log_level)

    def list(self, page: int | None = None) -> Iterator[SequenceInfo]:
        """All sequences, asked for in pages of at most `page` as the iteration goes on. What is
        created or freed meanwhile may or may not be seen."""
        cursor: Any = None
        while True:
            answer = self.list_page(cursor, page)
            yield from answer.seqs
            cursor = answer.cursor
            if cursor is None:
                return

    def submit(self, request: Request[T]) -> Pending[T]:
        """Send a request of truekv.requests, without waiting; `.result()` waits for its answer.

        Requests that name the same sequence take effect in the order of sending; the answers may
        come in any order. Payloads have left their arrays when this returns.
        """
        return self._connection.submit(request)

    def pipeline(self) -> Pipeline:
        """Many requests at once: `with client.pipeline() as p: a = p.read(1); b = p.read(2)`."""
        return Pipeline(self)

    def close(self) -> None:
        """Close the connection. What is in flight fails with ConnectionLost."""
        self._connection.close()

    @property
    def closed(self) -> bool:
        """Whether the connection is closed, by close() or by a failure."""
        return self._connection.closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Pipeline:
    """Client's methods, each returning at once with a Pending whose result() is the answer.

    At the end of the `with` block every answer has come, and the first error that no result()
    has raised is raised. Made by Client.pipeline().
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._sent: deque[Pending[Any]] = deque()

    ping = _pipelined(requests.ping)
    info = _pipelined(requests.info)
    stats = _pipelined(requests.stats)
    create = _pipelined(requests.create)
    append = _pipelined(requests.append)
    truncate = _pipelined(requests.truncate)
    free = _pipelined(requests.free)
    seq_info = _pipelined(requests.seq_info)
    list_page = _pipelined(requests.list_page)
    read = _pipelined(requests.read)
    verify = _pipelined(requests.verify)
    last_report = _pipelined(requests.last_report)
    scrub = _pipelined(requests.scrub)
    selftest = _pipelined(requests.selftest)
    inject = _pipelined(requests.inject)
    reload = _pipelined(requests.reload)
    drain = _pipelined(requests.drain)
    log_level = _pipelined(requests.log_level)

    def submit(self, request: Request[T]) -> Pending[T]:
        """Send a request of truekv.requests."""
        while self._sent and self._sent[0].taken:
            self._sent.popleft()
        pending = self._client.submit(request)
        self._sent.append(pending)
        return pending

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            return
        for pending in self._sent:
            pending.wait()
        for pending in self._sent:
            if not pending.taken:
                pending.result()
