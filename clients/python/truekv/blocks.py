"""Blocks of K/V as NumPy arrays: [layers][2][n_kv_heads][tokens][head_dim], where 2 is {K, V}."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

DType: TypeAlias = Literal["f16", "bf16", "f32"]
Block: TypeAlias = npt.NDArray[Any]

TOKENS_AXIS = 3
_NUMPY: dict[str, np.dtype[Any]] = {
    "f16": np.dtype("<f2"),
    "bf16": np.dtype("<u2"),
    "f32": np.dtype("<f4"),
}
_WIRE: dict[tuple[str, int], DType] = {("f", 2): "f16", ("u", 2): "bf16", ("f", 4): "f32"}


@dataclass(frozen=True, slots=True)
class Packed:
    """Blocks made ready for the wire: `buffers`, in order, are the payload."""

    dtype: DType
    tokens: int | list[int]
    buffers: list[memoryview]


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy type that holds a wire dtype. ValueError for a name that is not one."""
    try:
        return _NUMPY[name]
    except KeyError:
        raise ValueError(f"dtype is one of f16, bf16, f32, not {name!r}") from None


def pack(
    count: int,
    blocks: Block | Sequence[Block],
    layers: tuple[int, int] | None,
    tokens: int | Sequence[int] | None,
    dtype: DType | None,
) -> Packed:
    """Check the shapes and types of `count` blocks and lay out their bytes, copying only where
    a block is not C-contiguous or not little endian. ValueError or TypeError name the block."""
    items = _split(count, blocks)
    wire = _common_dtype(items, dtype)
    for index, item in enumerate(items):
        _check_shape(index, item, items[0], layers)
    lengths = [int(item.shape[TOKENS_AXIS]) for item in items]
    if tokens is not None:
        _check_tokens(lengths, tokens)
    even = len(set(lengths)) == 1
    return Packed(wire, lengths[0] if even else lengths, [_bytes_of(item, wire) for item in items])


def unpack(payload: memoryview | None, shape: Sequence[int], dtype: str) -> Block:
    """The array over a received payload, without a copy. ValueError where the sizes disagree."""
    kind = numpy_dtype(dtype)
    raw = np.frombuffer(b"" if payload is None else payload, dtype=np.uint8)
    wanted = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if raw.nbytes != wanted:
        raise ValueError(f"{raw.nbytes} payload bytes for shape {list(shape)} of {dtype}: {wanted}")
    return raw.view(kind).reshape(tuple(shape))


def _split(count: int, blocks: Block | Sequence[Block]) -> list[Block]:
    if isinstance(blocks, np.ndarray) and blocks.ndim == 5 and count == 1:
        return [blocks]
    items = list(blocks)
    if len(items) != count:
        raise ValueError(f"{len(items)} blocks for {count} sequences")
    if not items:
        raise ValueError("no sequences to append to")
    return items


def _common_dtype(items: Sequence[Block], dtype: DType | None) -> DType:
    for index, item in enumerate(items):
        if not isinstance(item, np.ndarray):
            raise TypeError(f"block {index} is a {type(item).__name__}, not a NumPy array")
        wire = _WIRE.get((item.dtype.kind, item.dtype.itemsize))
        if wire is None:
            raise TypeError(f"block {index} is {item.dtype}; float16, float32 or uint16 (bf16) go")
        if dtype is None:
            dtype = wire
        if wire != dtype:
            raise TypeError(f"block {index} is {wire}, expected {dtype}")
    assert dtype is not None
    return dtype


def _check_shape(index: int, item: Block, first: Block, layers: tuple[int, int] | None) -> None:
    if item.ndim != 5 or item.shape[1] != 2:
        raise ValueError(f"block {index} is {item.shape}, not [layers, 2, heads, tokens, dim]")
    if layers is not None and item.shape[0] != layers[1] - layers[0]:
        raise ValueError(f"block {index} has {item.shape[0]} layers, layers says {list(layers)}")
    rest = [(s[:TOKENS_AXIS], s[TOKENS_AXIS + 1 :]) for s in (item.shape, first.shape)]
    if rest[0] != rest[1]:
        raise ValueError(f"block {index} is {item.shape}, block 0 is {first.shape}")


def _check_tokens(lengths: Sequence[int], tokens: int | Sequence[int]) -> None:
    wanted = list(tokens) if isinstance(tokens, Sequence) else [tokens] * len(lengths)
    if wanted != list(lengths):
        raise ValueError(f"tokens says {wanted}, the blocks have {list(lengths)}")


def _bytes_of(item: Block, wire: DType) -> memoryview:
    return np.ascontiguousarray(item, dtype=_NUMPY[wire]).reshape(-1).view(np.uint8).data
