"""Read a GGUF model file: its metadata, and its tensors as float32.

Only what this demo's file has: little endian, tensors of F32, Q8_0 and Q4_1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_NUMBERS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_F32, _Q4_1, _Q8_0 = 0, 3, 8
_BLOCK = 32  # numbers that share a scale


@dataclass(frozen=True)
class Tensor:
    """A tensor in the file. `shape` is NumPy's: slowest axis first."""

    shape: tuple[int, ...]
    kind: int
    offset: int


class File:
    """An open model file. `meta` maps names to values. ValueError where it is not GGUF."""

    def __init__(self, path: Path) -> None:
        self._data = np.memmap(path, dtype=np.uint8, mode="r")
        self._at = 0
        if self._data[:4].tobytes() != b"GGUF":
            raise ValueError(f"{path} is not a GGUF file")
        self._at = 4
        self._number("I")
        tensors, values = self._number("Q"), self._number("Q")
        self.meta: dict[str, Any] = {}
        for _ in range(values):
            name = self._string()
            self.meta[name] = self._value(self._number("I"))
        self._tensors = dict(self._tensor() for _ in range(tensors))
        alignment = int(self.meta.get("general.alignment", 32))
        self._start = -(-self._at // alignment) * alignment

    def tensor(self, name: str) -> Array:
        """The tensor of that name, made float32. KeyError, ValueError for a type not known."""
        tensor = self._tensors[name]
        data = self._data[self._start + tensor.offset :]
        count = int(np.prod(tensor.shape))
        if tensor.kind == _F32:
            flat = data[: 4 * count].view("<f4")
        elif tensor.kind == _Q8_0:
            flat = _q8_0(data, count // _BLOCK)
        elif tensor.kind == _Q4_1:
            flat = _q4_1(data, count // _BLOCK)
        else:
            raise ValueError(f"{name} has tensor type {tensor.kind}")
        return flat.reshape(tensor.shape)

    def _number(self, code: str) -> Any:
        (value,) = struct.unpack_from("<" + code, self._data.data, self._at)
        self._at += struct.calcsize(code)
        return value

    def _string(self) -> str:
        size = self._number("Q")
        self._at += size
        return self._data[self._at - size : self._at].tobytes().decode()

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._number(_NUMBERS[kind])
        inner, count = self._number("I"), self._number("Q")
        return [self._value(inner) for _ in range(count)]

    def _tensor(self) -> tuple[str, Tensor]:
        name = self._string()
        axes = [self._number("Q") for _ in range(self._number("I"))]
        return name, Tensor(tuple(reversed(axes)), self._number("I"), self._number("Q"))


def _q8_0(data: npt.NDArray[np.uint8], blocks: int) -> Array:
    """Blocks of a scale (f16) and 32 int8: scale * q."""
    kind = np.dtype([("scale", "<f2"), ("q", "i1", _BLOCK)])
    raw = data[: blocks * kind.itemsize].view(kind)
    return raw["q"] * raw["scale"].astype(np.float32)[:, None]


def _q4_1(data: npt.NDArray[np.uint8], blocks: int) -> Array:
    """Blocks of a scale and a minimum (f16) and 16 bytes: scale * q + minimum. Numbers 0 to 15
    are the bytes' low halves, 16 to 31 the high ones."""
    kind = np.dtype([("scale", "<f2"), ("minimum", "<f2"), ("q", "u1", _BLOCK // 2)])
    raw = data[: blocks * kind.itemsize].view(kind)
    q = np.concatenate([raw["q"] & 15, raw["q"] >> 4], axis=1)
    scale, minimum = (raw[name].astype(np.float32)[:, None] for name in ("scale", "minimum"))
    return q * scale + minimum
