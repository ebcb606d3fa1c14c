"""A Llama-type language model in NumPy: RMSNorm, RoPE, grouped-query attention, SwiGLU.

K and V go to the caches and come back from there before attention; the model keeps none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demo import gguf
from demo.caches import Block, Caches

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Shape:
    """The model's sizes. `heads` ask, `kv_heads` are asked: heads / kv_heads share one."""

    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    epsilon: float
    rope_base: float


@dataclass(frozen=True)
class Layer:
    """One layer's weights, [out, in]. q, k and v are one matrix, and so are gate and up."""

    attention_norm: Array
    qkv: Array
    output: Array
    ffn_norm: Array
    gate_up: Array
    down: Array


@dataclass(frozen=True)
class Rows:
    """The rows of one pass: some tokens of each sequence, all below each other."""

    seqs: Sequence[int]
    parts: list[slice]
    turns: npt.NDArray[np.complex64]

    @property
    def last(self) -> list[int]:
        return [part.stop - 1 for part in self.parts]


class Model:
    """The weights, as float32."""

    def __init__(self, file: gguf.File) -> None:
        meta = file.meta
        heads, width = meta["llama.attention.head_count"], meta["llama.embedding_length"]
        self.shape = Shape(
            layers=meta["llama.block_count"],
            heads=heads,
            kv_heads=meta["llama.attention.head_count_kv"],
            head_dim=width // heads,
            epsilon=meta["llama.attention.layer_norm_rms_epsilon"],
            rope_base=meta["llama.rope.freq_base"],
        )
        self.attend: Callable[[Array, Block], Array] = attend
        """What attention is; there to be listened in on."""
        self._embedding = file.tensor("token_embd.weight")  # [token, width], also the last matrix
        self._norm = file.tensor("output_norm.weight")
        self._layers = [_layer(file, f"blk.{layer}.") for layer in range(self.shape.layers)]

    def forward(
        self,
        caches: Caches,
        seqs: Sequence[int],
        tokens: Sequence[Sequence[int]],
        pos: Sequence[int],
    ) -> Array:
        """Run `tokens[i]`, which stand at `pos[i]` and on, of each sequence, and append their K
        and V. Returns [sequence, vocabulary]: how likely each token is to come next."""
        rows = self._rows(seqs, [len(one) for one in tokens], pos)
        x = self._embedding[[token for one in tokens for token in one]]
        for number, layer in enumerate(self._layers):
            x = x + self._attention(caches, number, layer, rows, x)
            x = x + self._feed_forward(layer, x)
        return _times(self._embedding, self._normed(x[rows.last], self._norm))

    def _rows(self, seqs: Sequence[int], counts: Sequence[int], pos: Sequence[int]) -> Rows:
        ends = np.cumsum(counts).tolist()
        parts = [slice(end - count, end) for count, end in zip(counts, ends, strict=True)]
        where = np.concatenate([np.arange(p, p + n) for p, n in zip(pos, counts, strict=True)])
        half = self.shape.head_dim // 2
        speeds = self.shape.rope_base ** -(np.arange(half) / half)
        turns = np.exp(1j * np.outer(where, speeds)).astype(np.complex64)
        return Rows(seqs, parts, turns[:, None, :])

    def _attention(self, caches: Caches, number: int, layer: Layer, rows: Rows, x: Array) -> Array:
        s = self.shape
        mixed = _times(layer.qkv, self._normed(x, layer.attention_norm))
        mixed = mixed.reshape(len(x), s.heads + 2 * s.kv_heads, s.head_dim)
        turned = _turn(mixed[:, : s.heads + s.kv_heads], rows.turns)
        q, k, v = turned[:, : s.heads], turned[:, s.heads :], mixed[:, s.heads + s.kv_heads :]

        # [K or V, kv head, row, dim], as the cache has it; each sequence gets its rows of that.
        both = np.stack([k, v]).transpose(0, 2, 1, 3).astype(np.float16)
        caches.append(rows.seqs, number, [both[None, :, :, part] for part in rows.parts])
        cached = caches.read(rows.seqs, number)
        seen = [self.attend(q[part], kv[0]) for part, kv in zip(rows.parts, cached, strict=True)]
        return _times(layer.output, np.concatenate(seen))

    def _feed_forward(self, layer: Layer, x: Array) -> Array:
        gate, up = np.split(_times(layer.gate_up, self._normed(x, layer.ffn_norm)), 2, axis=1)
        return _times(layer.down, gate / (1 + np.exp(-gate)) * up)

    def _normed(self, x: Array, weight: Array) -> Array:
        mean = np.mean(x * x, axis=1, keepdims=True)
        normed: Array = x / np.sqrt(mean + np.float32(self.shape.epsilon)) * weight
        return normed


def attend(q: Array, kv: Block) -> Array:
    """Attention of one sequence's newest rows over all its cached tokens.

    q [row, head, dim], kv [2][kv head][token][dim]; the rows are the last of the tokens.
    Returns [row, head * dim].
    """
    k, v = kv.astype(np.float32)
    rows, heads, dim = q.shape
    kv_heads, tokens = k.shape[0], k.shape[1]
    group = heads // kv_heads
    asked = q.reshape(rows, kv_heads, group, dim).transpose(1, 2, 0, 3)
    scores = asked.reshape(kv_heads, group * rows, dim) @ k.transpose(0, 2, 1)
    scores = scores.reshape(kv_heads, group, rows, tokens) / np.float32(np.sqrt(dim))
    if rows > 1:
        future = np.arange(tokens) > np.arange(tokens - rows, tokens)[:, None]
        scores = np.where(future, np.float32(-np.inf), scores)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    seen: Array = weights.reshape(kv_heads, group * rows, tokens) @ v
    return seen.reshape(heads, rows, dim).transpose(1, 0, 2).reshape(rows, heads * dim)


def _turn(x: Array, turns: npt.NDArray[np.complex64]) -> Array:
    """Rotary position embedding. Model files of this format keep the two numbers that turn
    together side by side, so that they are read as one complex number."""
    turned = np.ascontiguousarray(x).view(np.complex64) * turns
    return turned.view(np.float32)


def _times(weight: Array, x: Array) -> Array:
    """x @ weight.T, the faster way round for few rows."""
    product: Array = weight @ x.T
    return product.T


def _layer(file: gguf.File, prefix: str) -> Layer:
    def matrix(*names: str) -> Array:
        return np.concatenate([file.tensor(f"{prefix}{name}.weight") for name in names])

    return Layer(
        attention_norm=matrix("attn_norm"),
        qkv=matrix("attn_q", "attn_k", "attn_v"),
        output=matrix("attn_output"),
        ffn_norm=matrix("ffn_norm"),
        gate_up=matrix("ffn_gate", "ffn_up"),
        down=matrix("ffn_down"),
    )
