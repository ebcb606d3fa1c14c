"""Greedy decoding of several sequences at once: always the likeliest token, no chance in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from demo.caches import Caches
from demo.model import Array, Model


@dataclass
class Run:
    """What one run produced: the tokens of each sequence, and of each pass a digest of all the
    numbers behind them, to tell "the same tokens" from "the same to the last bit"."""

    tokens: dict[int, list[int]]
    digests: list[bytes] = field(default_factory=list)

    def take(self, seqs: Sequence[int], logits: Array) -> None:
        for seq, row in zip(seqs, logits, strict=True):
            self.tokens[seq].append(int(np.argmax(row)))
        self.digests.append(hashlib.sha256(logits.tobytes()).digest())


def greedy(
    model: Model,
    caches: Caches,
    prompts: Mapping[int, Sequence[int]],
    steps: int,
    end: int | None,
    before: Callable[[int], None],
) -> Run:
    """Answer the prompts, given by sequence, all in one batch: one pass over the prompts, then
    `steps` passes of one token each. A sequence that says `end` leaves the batch.
    before(step) is called ahead of each of the passes, from 0 for the prompts' on."""
    seqs = list(prompts)
    run = Run({seq: [] for seq in seqs})
    before(0)
    run.take(seqs, model.forward(caches, seqs, [prompts[seq] for seq in seqs], [0] * len(seqs)))
    for step in range(1, steps + 1):
        seqs = [seq for seq in seqs if run.tokens[seq][-1] != end]
        if not seqs:
            break
        before(step)
        newest = [run.tokens[seq][-1:] for seq in seqs]
        pos = [len(prompts[seq]) + step - 1 for seq in seqs]
        run.take(seqs, model.forward(caches, seqs, newest, pos))
    return run
