"""Where K and V live: in truekvd, or, to compare with, in this process.

Both take and give the same arrays, rounded to f16 the same way, so that a model run with one and
with the other does the same arithmetic on the same numbers. A block is
[layers = 1][2 = {K, V}][kv head][token][dim], float16.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import truekv

Block = npt.NDArray[np.float16]


class Caches(Protocol):
    """The caches of some sequences. `seqs` names them; a list of blocks has one for each."""

    def append(self, seqs: Sequence[int], layer: int, blocks: Sequence[Block]) -> None:
        """Add each block's tokens behind those that the layer of its sequence has."""

    def read(self, seqs: Sequence[int], layer: int) -> list[Block]:
        """All tokens of the layer, for each sequence."""


class DaemonCaches:
    """Sequences of truekvd, made here, gone with the connection. Nothing is kept on this side."""

    def __init__(self, client: truekv.Client, seqs: Iterable[int]) -> None:
        self._client = client
        for seq in seqs:
            client.create(seq, label="demo", on_disconnect="free")

    def append(self, seqs: Sequence[int], layer: int, blocks: Sequence[Block]) -> None:
        self._client.append(seqs, blocks, layers=(layer, layer + 1))

    def read(self, seqs: Sequence[int], layer: int) -> list[Block]:
        with self._client.pipeline() as pipeline:
            answers = [pipeline.read(seq, layers=(layer, layer + 1)) for seq in seqs]
        return [answer.result() for answer in answers]


class LocalCaches:
    """The same in plain arrays of this process."""

    def __init__(self, seqs: Iterable[int], shape: tuple[int, int, int, int]) -> None:
        layers, heads, capacity, dim = shape
        self._caches: dict[int, Block] = {
            seq: np.zeros((layers, 2, heads, capacity, dim), np.float16) for seq in seqs
        }
        self._lengths = {seq: [0] * layers for seq in self._caches}

    def append(self, seqs: Sequence[int], layer: int, blocks: Sequence[Block]) -> None:
        for seq, block in zip(seqs, blocks, strict=True):
            start = self._lengths[seq][layer]
            self._lengths[seq][layer] = end = start + block.shape[3]
            self._caches[seq][layer, :, :, start:end] = block[0]

    def read(self, seqs: Sequence[int], layer: int) -> list[Block]:
        return [
            self._caches[seq][layer : layer + 1, :, :, : self._lengths[seq][layer]].copy()
            for seq in seqs
        ]
