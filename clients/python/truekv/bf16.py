"""bfloat16 for NumPy, which has no such type: its 16 bits travel in uint16 arrays.

truekv returns caches and blocks of dtype "bf16" as numpy.uint16, and sends numpy.uint16 as "bf16".
Arithmetic on such an array is arithmetic on bit patterns: convert it first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def to_float32(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """The values of bf16 bit patterns, exactly; any shape. TypeError for anything but uint16."""
    if bits.dtype != np.uint16:
        raise TypeError(f"bf16 is kept as uint16, not {bits.dtype}")
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def from_float32(values: npt.ArrayLike) -> npt.NDArray[np.uint16]:
    """Round to bf16: to nearest, ties to even; NaN stays NaN, overflow becomes ±inf. Any shape."""
    bits = np.array(values, dtype=np.float32, order="C").view(np.uint32)
    top = bits >> np.uint32(16)
    nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
    rounded = (bits + np.uint32(0x7FFF) + (top & np.uint32(1))) >> np.uint32(16)
    return np.where(nan, top | np.uint32(0x40), rounded).astype(np.uint16)
