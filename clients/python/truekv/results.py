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
    """server.info. `backend` is "cuda" or "cpu". `unhealthy_because` is None while `healthy`, or
    where the daemon does not say it."""

    name: str
    version: str
    protocol: int
    backend: str
    devices: tuple[Device, ...]
    models: tuple[Model, ...]
    limits: Limits
    uptime_s: float
    healthy: bool
    unhealthy_because: str | None = None

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
class DivergenceMap:
    """Where the bytes of a divergence differ. `heads[i]` counts those of `heads_per_cell` K/V heads
    from i * heads_per_cell on, `positions[i]` those of `positions_per_cell` positions of the
    sequence from pos + i * positions_per_cell on."""

    heads: list[int]
    heads_per_cell: int = 1
    pos: int = 0
    positions: list[int] = field(default_factory=list)
    positions_per_cell: int = 1


@dataclass(frozen=True, slots=True)
class Divergence:
    """One place where two paths, or a path and the live cache, hold different bytes.

    `between` is "per_item/batched" or "per_item/live". `kind` names the bug, `detail` has what
    goes with it (wrong_item: source_seq; wrong_position: offset; bit_flip: bits).
    `worst` is {kv_head, kv_pos, dim, per_item, other}, `nonzero` is {per_item, other}.
    `max_abs_diff` is None where either side is not finite. `map` is None where the daemon is
    older than maps.
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
    map: DivergenceMap | None = None

    @property
    def ambiguous(self) -> bool:
        """Whether several sequences brought the same bytes, so that it cannot be told which of
        `source_seqs` they are from."""
        return bool(self.detail.get("ambiguous", False))

    @property
    def source_seqs(self) -> list[int]:
        """The sequences that may have brought the bytes; none where the daemon names none."""
        if "source_seqs" in self.detail:
            return list(self.detail["source_seqs"])
        return [self.detail["source_seq"]] if "source_seq" in self.detail else []

    @classmethod
    def decode(cls, wire: Mapping[str, Any]) -> Divergence:
        where = wire.get("map")
        return pick(cls, wire, map=None if where is None else pick(DivergenceMap, where))


@dataclass(frozen=True, slots=True)
class Journal:
    """What the journal held before a check began: batches `oldest` to `newest`. `left` older ones
    have left it since the daemon started: no verification reaches them any more."""

    oldest: int = 0
    newest: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """debug.verify. `skipped` counts what could not be checked, by reason: items that were "freed"
    or "truncated", and batches that were "evicted" from the journal before. `journal` is how far
    the check could reach; None where the daemon does not say it."""

    ok: bool
    batches_checked: int
    items_checked: int
    bytes_compared: int
    divergent_items: int
    duration_us: int
    skipped: dict[str, int] = field(default_factory=dict)
    divergences: tuple[Divergence, ...] = ()
    journal: Journal | None = None

    @classmethod
    def decode(cls, wire: Mapping[str, Any]) -> VerifyReport:
        divergences = tuple(Divergence.decode(one) for one in wire["divergences"])
        reach = wire.get("journal")
        return pick(cls, wire, divergences=divergences,
                    journal=None if reach is None else pick(Journal, reach))  # fmt: skip


@dataclass(frozen=True, slots=True)
class LastReport:
    """debug.last. `source` is "shadow" or "verify", `age_ms` the report's age. `first` is the first
    report that found something since the daemon started, where that is an earlier one."""

    report: VerifyReport
    source: str
    age_ms: int
    first: LastReport | None = None

    @classmethod
    def decode(cls, wire: Mapping[str, Any]) -> LastReport | None:
        if wire.get("report") is None:
            return None
        first = wire.get("first")
        return pick(cls, wire, report=VerifyReport.decode(wire["report"]),
                    first=None if first is None else cls.decode(first))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Damage:
    """One token's K or V in one layer, over all heads, that is not what was appended. Checksums
    are 16 hexadecimal digits."""

    seq: int
    layer: int
    kv: str
    pos: int
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class ScrubReport:
    """debug.scrub. `damages` lists the first of `damaged_tokens`; `skipped` counts sequences, by
    reason."""

    ok: bool
    seqs_checked: int
    checksums_checked: int
    bytes_read: int
    damaged_tokens: int
    duration_us: int
    skipped: dict[str, int] = field(default_factory=dict)
    damages: tuple[Damage, ...] = ()

    @classmethod
    def decode(cls, wire: Mapping[str, Any]) -> ScrubReport:
        damages = tuple(pick(Damage, one) for one in wire["damages"])
        return pick(cls, wire, damages=damages)


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


@dataclass(frozen=True, slots=True)
class Reloaded:
    """admin.reload. Settings that have changed, and those whose new value waits for a restart."""

    changed: list[str]
    needs_restart: list[str]


@dataclass(frozen=True, slots=True)
class LogLevel:
    """admin.log_level: the level now, and the one before."""

    level: str
    was: str


def pick(cls: type[R], wire: Mapping[str, Any], **given: Any) -> R:
    """A `cls` from the members of `wire` that it has. TypeError where one without default lacks."""
    names = [one.name for one in fields(cls)]  # type: ignore[arg-type]
    members = {name: wire[name] for name in names if wire.get(name) is not None}
    return cls(**{**members, **given})
