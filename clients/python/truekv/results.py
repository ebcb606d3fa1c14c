"""What the daemon answers, as small read-only records. Members that are not known are ignored,
so that a newer daemon can say more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Model:
    """A configured model: the shape of its caches. `capacity` in tokens."""

    name: str
    n_layers: int
    n_kv_heads: int
    head_dim: int
    dtype: str
    capacity: int


@dataclass(frozen=True, slots=True)
class Device:
    """A device that holds caches; memory in bytes."""

    ordinal: int
    name: str
    memory_total: int
    memory_used: int


@dataclass(frozen=True, slots=True)
class Limits:
    max_header_bytes: int
    max_payload_bytes: int
    max_connections: int
    max_sequences: int
    memory_budget_bytes: int


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """server.info. `backend` is "cuda" or "cpu"."""

    name: str
    version: str
    protocol: int
    backend: str
    devices: tuple[Device, ...]
    models: tuple[Model, ...]
    limits: Limits
    uptime_s: float
    healthy: bool

    @classmethod
    def decode(cls, wire: Mapping[str, Any]) -> ServerInfo:
        return pick(
            cls,
            wire,
            devices=tuple(pick(Device, one) for one in wire["devices"]),
            models=tuple(pick(Model, one) for one in wire["models"]),
            limits=pick(Limits, wire["limits"]),
        )


@dataclass(frozen=True, slots=True)
class Created:
    """seq.create. `bytes` is what the cache takes on `device`."""

    seq: int
    model: str
    capacity: int
    len: int
    bytes: int
    device: int


@dataclass(frozen=True, slots=True)
class SequenceInfo:
    """seq.info. `layer_lens` is there when the layers' lengths differ; `len` is the smallest."""

    seq: int
    model: str
    capacity: int
    len: int
    bytes: int
    device: int
    idle_ms: int
    appends: int
    label: str | None = None
    layer_lens: list[int] | None = None


@dataclass(frozen=True, slots=True)
class SequencePage:
    """One page of seq.list; `cursor` asks for the next one, None on the last."""

    seqs: tuple[SequenceInfo, ...]
    cursor: Any = None

    @classmethod
    def decode(cls, wire: Mapping[str, Any]) -> SequencePage:
        return pick(cls, wire, seqs=tuple(pick(SequenceInfo, one) for one in wire["seqs"]))


@dataclass(frozen=True, slots=True)
class Appended:
    """seq.append. `lens[i]` is the new length of item i's sequence; `batch` numbers the device
    batch that carried it."""

    lens: list[int]
    batch: int


@dataclass(frozen=True, slots=True)
class Divergence:
    """One place where two paths, or a path and the live cache, hold different bytes.

    `between` is "per_item/batched" or "per_item/live". `kind` names the bug, `detail` has what
    goes with it (wrong_item: source_seq; wrong_position: offset; bit_flip: bits).
    `worst` is {kv_head, kv_pos, dim, per_item, other}, `nonzero` is {per_item, other}.
    `max_abs_diff` is None where either side is not finite.
    """

    seq: int
    batch: int
    layer: int
    kv: str
    between: str
    kind: str
    mismatched_bytes: int
    max_abs_diff: float | None = None
    worst: dict[str, Any] = field(default_factory=dict)
    nonzero: dict[str, Any] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """debug.verify. `skipped` counts what could not be checked, by reason."""

    ok: bool
    batches_checked: int
    items_checked: int
    bytes_compared: int
    divergent_items: int
    duration_us: int
    skipped: dict[str, int] = field(default_factory=dict)
    divergences: tuple[Divergence, ...] = ()

    @classmethod
    def decode(cls, wire: Mapping[str, Any]) -> VerifyReport:
        divergences = tuple(pick(Divergence, one) for one in wire["divergences"])
        return pick(cls, wire, divergences=divergences)


@dataclass(frozen=True, slots=True)
class SelftestItem:
    """One item's K or V. `worst` is {kv_head, kv_pos, dim, per_item, batched}."""

    item: int
    kv: str
    mismatched_bytes: int
    max_abs_diff: float | None = None
    worst: dict[str, Any] = field(default_factory=dict)
    nonzero: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SelftestReport:
    """debug.selftest, with one entry for each item's K and each item's V."""

    ok: bool
    items: tuple[SelftestItem, ...]

    @classmethod
    def decode(cls, wire: Mapping[str, Any]) -> SelftestReport:
        return pick(cls, wire, items=tuple(pick(SelftestItem, one) for one in wire["items"]))


def pick(cls: type[R], wire: Mapping[str, Any], **given: Any) -> R:
    """A `cls` from the members of `wire` that it has. TypeError where one without default lacks."""
    names = [one.name for one in fields(cls)]  # type: ignore[arg-type]
    members = {name: wire[name] for name in names if wire.get(name) is not None}
    return cls(**{**members, **given})
