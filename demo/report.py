"""A verification report in sentences."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from truekv import Divergence, VerifyReport

_BETWEEN = {
    "per_item/batched": "the batched path does not write what the per-item path writes",
    "per_item/live": "the live cache does not hold what the per-item path writes",
}
_KIND = {
    "missing_write": "the rows were not written",
    "stray_write": "something was written where nothing should be",
    "wrong_item": "it holds the rows of sequence {source_seq}",
    "wrong_position": "its rows are off by {offset} positions",
    "wrong_head": "its rows are under another K/V head",
    "wrong_layer": "its rows are in another layer",
    "kv_swapped": "K stands where V belongs",
    "rounding": "the values differ by rounding",
    "bit_flip": "{bits} bits are flipped",
    "unknown": "the bytes differ, in no way that has a name",
}


def sentences(report: VerifyReport) -> Iterable[str]:
    """What was checked, and one sentence for all that is wrong in the same way."""
    outcome = "all equal."
    if not report.ok:
        listed = len(report.divergences)
        outcome = f"{report.divergent_items} items diverge; {listed} places are listed:"
    yield (
        f"{report.batches_checked} batches, {report.items_checked} items and "
        f"{report.bytes_compared / 2**20:.1f} MiB compared in {report.duration_us / 1e6:.2f} s: "
        f"{outcome}"
    )
    alike: dict[tuple[int, str, str, str], list[Divergence]] = {}
    for one in report.divergences:
        key = (one.seq, one.kind, one.between, repr(one.detail.get("source_seq")))
        alike.setdefault(key, []).append(one)
    for group in alike.values():
        yield _sentence(group)


def _sentence(group: Sequence[Divergence]) -> str:
    first = group[0]
    what = _KIND.get(first.kind, first.kind)
    try:
        what = what.format(**first.detail)
    except KeyError:
        pass  # a detail that the daemon could not tell
    where = (
        f"layers {_span(one.layer for one in group)}, batches {_span(one.batch for one in group)}, "
        f"{' and '.join(sorted({one.kv.upper() for one in group}))}"
    )
    return (
        f"Sequence {first.seq}, {where}: {first.kind}, {what}; "
        f"{_BETWEEN.get(first.between, first.between)}."
    )


def _span(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def by_command(command: Path, address: str) -> tuple[int, str]:
    """Exit code and output of `truekv verify`; on a terminal it prints by itself, in colour and as
    wide as fits, and the output is empty. OSError where it cannot be run."""
    if sys.stdout.isatty():
        sys.stdout.flush()
        done = subprocess.run([str(command), "-s", address, "verify"], check=False)
        return done.returncode, ""
    done = subprocess.run(
        [str(command), "-s", address, "verify"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
    )  # fmt: skip
    return done.returncode, done.stdout
