"""The daemon's methods as requests: what is sent, and how the answer becomes a Python value.

Client and Pipeline take their methods from here, so each is written, typed and explained once.
Sequences are named by integers, 0 to 2^53-1. `layers` is (begin, end), half open; absent: all
layers of the model. Lengths and positions count tokens from 0. TypeError and ValueError are raised
before anything is sent; what the daemon refuses is raised as the error of its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, Generic, Literal, TypeVar

from truekv import blocks as kv
from truekv.results import (
    Appended,
    Created,
    LastReport,
    LogLevel,
    Reloaded,
    ScrubReport,
    SelftestReport,
    SequenceInfo,
    SequencePage,
    ServerInfo,
    VerifyReport,
    pick,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """A method call. `payload` is borrowed until it has been sent."""

    method: str
    params: Mapping[str, Any]
    decode: Callable[[Mapping[str, Any], memoryview | None], T]
    payload: Sequence[memoryview] = ()


def ping() -> Request[None]:
    """Ask whether the daemon answers."""
    return Request("server.ping", {}, lambda result, payload: None)


def info() -> Request[ServerInfo]:
    """The daemon's version, backend, devices, models and limits."""
    return Request("server.info", {}, lambda result, payload: ServerInfo.decode(result))


def stats() -> Request[dict[str, Any]]:
    """The daemon's counters and gauges, as its metrics page shows them."""
    return Request("server.stats", {}, lambda result, payload: dict(result))


def create(
    seq: int | None = None,
    *,
    model: str | None = None,
    capacity: int | None = None,
    label: str | None = None,
    ttl_ms: int | None = None,
    on_disconnect: Literal["keep", "free"] | None = None,
) -> Request[Created]:
    """Create a sequence with an empty cache, which reads as zeros.

    Absent `seq`: the daemon chooses the number. Absent `model`: the configuration's first. Absent
    `capacity` (tokens): the model's. `ttl_ms`: freed when nothing has named it for that long.
    `on_disconnect="free"`: freed when this connection ends.
    AlreadyExists, NotFound (the model), OutOfMemory.
    """
    params = _params(
        seq=_int(seq),
        model=model,
        capacity=_int(capacity),
        label=label,
        ttl_ms=_int(ttl_ms),
        on_disconnect=on_disconnect,
    )
    return Request("seq.create", params, lambda result, payload: pick(Created, result))


def append(
    seqs: Sequence[int],
    blocks: kv.Block | Sequence[kv.Block],
    pos: Sequence[int] | None = None,
    tokens: int | Sequence[int] | None = None,
    layers: tuple[int, int] | None = None,
    dtype: kv.DType | None = None,
) -> Request[Appended]:
    """Append one block of K and V to each sequence: all of them, or none.

    `blocks` holds one array [layers, 2, n_kv_heads, tokens, head_dim] for each of `seqs`, 2 being
    {K, V}; a list, whose items may differ in tokens, or one array with the items as first axis.
    float16 goes as "f16", float32 as "f32", uint16 as "bf16" (see truekv.bf16); the daemon
    converts to the model's type. Arrays that are C-contiguous and little endian are sent from
    where they are, without a copy, and may be changed once this returns.

    `pos[i]`, where given, must be the length that those layers have: PositionMismatch says
    otherwise, and makes a second try after a lost answer safe. `tokens` and `dtype` need not be
    given; where they are, they must be what the arrays have. A sequence may stand twice.
    NotFound, PositionMismatch, CapacityExceeded, InvalidParams; `error.items` tells which items.
    """
    packed = kv.pack(len(seqs), blocks, layers, tokens, dtype)
    params = _params(
        seqs=_ints(seqs),
        pos=_ints(pos),
        tokens=packed.tokens,
        layers=_ints(layers),
        dtype=packed.dtype,
    )
    return Request(
        "seq.append", params, lambda result, payload: pick(Appended, result), packed.buffers
    )


def truncate(seq: int, len: int) -> Request[int]:
    """Roll every layer longer than `len` back to it, as for rejected speculative tokens.
    Returns the length. NotFound."""
    params = {"seq": index(seq), "len": index(len)}
    return Request("seq.truncate", params, lambda result, payload: int(result["len"]))


def free(seqs: Sequence[int]) -> Request[int]:
    """Free sequences, all or none. Returns how many. NotFound."""
    return Request("seq.free", {"seqs": _ints(seqs)}, lambda result, payload: int(result["freed"]))


def seq_info(seq: int) -> Request[SequenceInfo]:
    """Length, capacity and use of one sequence. NotFound."""
    params = {"seq": index(seq)}
    return Request("seq.info", params, lambda result, payload: pick(SequenceInfo, result))


def list_page(cursor: Any = None, limit: int | None = None) -> Request[SequencePage]:
    """One page of at most `limit` sequences, from where `cursor` of the page before points."""
    params = _params(cursor=cursor, limit=_int(limit))
    return Request("seq.list", params, lambda result, payload: SequencePage.decode(result))


def read(
    seq: int,
    layers: tuple[int, int] | None = None,
    pos: int | None = None,
    tokens: int | None = None,
    dtype: kv.DType | None = None,
) -> Request[kv.Block]:
    """Read K and V as a new array [layers, 2, n_kv_heads, tokens, head_dim].

    Absent `pos`: from the start; absent `tokens`: up to the length. `dtype` is the cache's own
    unless said: float16, float32, or uint16 for bf16 (truekv.bf16.to_float32 makes numbers of it).
    The array owns its memory and can be written. NotFound, OutOfRange.
    """
    params = _params(
        seq=index(seq), layers=_ints(layers), pos=_int(pos), tokens=_int(tokens), dtype=dtype
    )
    return Request(
        "seq.read",
        params,
        lambda result, payload: kv.unpack(payload, result["shape"], result["dtype"]),
    )


def verify(
    seqs: Sequence[int] | None = None,
    batches: int | None = None,
    scratch_bytes: int | None = None,
) -> Request[VerifyReport]:
    """Re-run recorded appends through the per-item path and through the batched path, and compare
    both with each other and with the live caches, byte by byte. Changes nothing.

    `seqs`: absent, all. `batches`: the newest so many that the journal still has; absent, all.
    """
    params = _params(seqs=_ints(seqs), batches=_int(batches), scratch_bytes=_int(scratch_bytes))
    return Request("debug.verify", params, lambda result, payload: VerifyReport.decode(result))


def selftest(
    *,
    m: int | None = None,
    n_kv_heads: int | None = None,
    head_dim: int | None = None,
    capacity: int | None = None,
    cache_len: int | None = None,
    layers: int | None = None,
    seed: int | None = None,
) -> Request[SelftestReport]:
    """The reference equivalence test on made-up data: `m` items, per item against batched."""
    params = _params(
        m=_int(m),
        n_kv_heads=_int(n_kv_heads),
        head_dim=_int(head_dim),
        capacity=_int(capacity),
        cache_len=_int(cache_len),
        layers=_int(layers),
        seed=_int(seed),
    )
    return Request("debug.selftest", params, lambda result, payload: SelftestReport.decode(result))


def last_report() -> Request[LastReport | None]:
    """The newest report with a divergence, of shadow mode or of a verification. None: nothing has
    been found. MethodNotFound from a daemon that is older."""
    return Request("debug.last", {}, lambda result, payload: LastReport.decode(result))


def scrub(seqs: Sequence[int] | None = None) -> Request[ScrubReport]:
    """Compare live caches with the checksums that were made of the rows as they were appended.
    Changes nothing.

    `seqs`: absent, all. NotFound; NotSupported where the configuration keeps no checksums.
    """
    params = _params(seqs=_ints(seqs))
    return Request("debug.scrub", params, lambda result, payload: ScrubReport.decode(result))


def inject(
    fault: str,
    batches: int | None = None,
    *,
    layer: int | None = None,
    kv_head: int | None = None,
    last_item: bool | None = None,
    together: bool | None = None,
) -> Request[list[str]]:
    """Send the next `batches` batches through a deliberately broken variant (shared_pointers,
    swap_items, off_by_one, …). Returns what is armed.

    `layer`, `kv_head` and `last_item` (of a batch, that one alone) limit what is broken.
    `together`: in the same batches as the fault armed before it. PermissionDenied unless the
    configuration allows it.
    """
    params = _params(
        fault=fault,
        batches=_int(batches),
        layer=_int(layer),
        kv_head=_int(kv_head),
        last_item=last_item,
        together=together,
    )
    return Request("debug.inject", params, lambda result, payload: list(result["armed"]))


def auth(token: str) -> Request[None]:
    """Show the daemon a token: over TCP the first request. Client sends it by itself where it is
    given `token` or `token_file`. PermissionDenied, and the daemon hangs up."""
    return Request("auth", {"token": token}, lambda result, payload: None)


def reload() -> Request[Reloaded]:
    """Have the daemon read its configuration again. InvalidParams where the file has a mistake: the
    message says where, and nothing has changed. PermissionDenied."""
    return Request("admin.reload", {}, lambda result, payload: pick(Reloaded, result))


def drain() -> Request[None]:
    """Have the daemon finish what it has accepted, and end. PermissionDenied."""
    return Request("admin.drain", {}, lambda result, payload: None)


def log_level(level: Literal["error", "warning", "info", "debug"]) -> Request[LogLevel]:
    """Change how much the daemon logs, until a reload or a restart. PermissionDenied."""
    return Request("admin.log_level", {"level": level},
                   lambda result, payload: pick(LogLevel, result))  # fmt: skip


def _params(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _int(value: int | None) -> int | None:
    return None if value is None else index(value)


def _ints(values: Sequence[int] | None) -> list[int] | None:
    return None if values is None else [index(value) for value in values]
