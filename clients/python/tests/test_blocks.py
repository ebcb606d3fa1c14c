"""Arrays to payload bytes and back, and bf16."""

from __future__ import annotations

import unittest
from typing import Any

import numpy as np
import numpy.typing as npt

from truekv import bf16
from truekv.blocks import pack, unpack


def block(tokens: int, dtype: str = "float16", layers: int = 2) -> npt.NDArray[Any]:
    shape = (layers, 2, 3, tokens, 4)
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


class PackTest(unittest.TestCase):
    def test_ragged_blocks(self) -> None:
        blocks = [block(1), block(3)]
        packed = pack(2, blocks, (5, 7), None, None)
        self.assertEqual((packed.dtype, packed.tokens), ("f16", [1, 3]))
        self.assertEqual(b"".join(packed.buffers), b"".join(b.tobytes() for b in blocks))

    def test_one_array_for_all_or_for_one(self) -> None:
        both = np.stack([block(2), block(2)])
        packed = pack(2, both, None, 2, "f16")
        self.assertEqual((packed.tokens, b"".join(packed.buffers)), (2, both.tobytes()))
        self.assertEqual(pack(1, both[0], None, [2], None).buffers[0], both[0].tobytes())

    def test_dtypes(self) -> None:
        for dtype, wire in (("float16", "f16"), ("float32", "f32"), ("uint16", "bf16")):
            self.assertEqual(pack(1, [block(1, dtype)], None, None, None).dtype, wire)

    def test_contiguous_blocks_are_not_copied(self) -> None:
        one = block(2)
        self.assertTrue(
            np.shares_memory(
                np.frombuffer(pack(1, [one], None, None, None).buffers[0], np.uint8), one
            )
        )

    def test_strided_and_big_endian_blocks_are_put_right(self) -> None:
        one = block(4)[:, :, :, ::2]
        self.assertEqual(pack(1, [one], None, None, None).buffers[0], one.tobytes())
        big = block(2).astype(">f2")
        self.assertEqual(pack(1, [big], None, None, None).buffers[0], block(2).tobytes())

    def test_refusals_name_the_block(self) -> None:
        good = block(2)
        cases: Any = (
            (TypeError, "block 1 is float64", [good, good.astype("float64")], {}),
            (TypeError, "block 1 is f32, expected f16", [good, good.astype("float32")], {}),
            (TypeError, "block 1 is a list", [good, [1.0]], {}),
            (TypeError, "block 0 is f16, expected bf16", [good, good], {"dtype": "bf16"}),
            (ValueError, r"block 1 is \(2, 3, 2, 4\)", [good, good[:, 0]], {}),
            (ValueError, "block 1 is .*, block 0 is", [good, good[:, :, :2]], {}),
            (ValueError, "block 0 has 2 layers", [good, good], {"layers": (0, 1)}),
            (ValueError, r"tokens says \[3, 3\], the blocks have \[2, 2\]", [good] * 2,
             {"tokens": 3}),
            (ValueError, "1 blocks for 2 sequences", [good], {}),
        )  # fmt: skip
        for kind, text, blocks, given in cases:
            with self.subTest(text=text), self.assertRaisesRegex(kind, text):
                options: Any = {"layers": None, "tokens": None, "dtype": None, **given}
                pack(2, blocks, **options)


class UnpackTest(unittest.TestCase):
    def test_shape_and_type(self) -> None:
        one = block(3)
        got = unpack(memoryview(bytearray(one.tobytes())), one.shape, "f16")
        np.testing.assert_array_equal(got, one)
        self.assertTrue(got.flags.writeable)

    def test_empty(self) -> None:
        self.assertEqual(unpack(None, [1, 2, 3, 0, 4], "bf16").shape, (1, 2, 3, 0, 4))

    def test_sizes_that_disagree(self) -> None:
        with self.assertRaisesRegex(ValueError, "4 payload bytes"):
            unpack(memoryview(b"abcd"), [1, 2, 1, 1, 2], "f16")


class Bf16Test(unittest.TestCase):
    def test_values_survive(self) -> None:
        bits = np.arange(1 << 16, dtype=np.uint16)
        values = bf16.to_float32(bits)
        back = bf16.from_float32(values)
        number = ~np.isnan(values)
        np.testing.assert_array_equal(back[number], bits[number])
        self.assertTrue(np.isnan(bf16.to_float32(back[~number])).all())

    def test_rounding(self) -> None:
        cases = (
            (0x3F808000, 0x3F80),  # a tie goes to the even neighbour, down
            (0x3F818000, 0x3F82),  # … and up
            (0x3F808001, 0x3F81),
            (0x7F7FFFFF, 0x7F80),  # overflow becomes infinity
            (0x80000001, 0x8000),
            (0x7F800001, 0x7FC0),  # a NaN whose set bits would be cut off stays a NaN
            (0xFFFFFFFF, 0xFFFF),
        )
        for value, want in cases:
            got = bf16.from_float32(np.array([value], np.uint32).view(np.float32))
            self.assertEqual(hex(got[0]), hex(want))

    def test_wrong_type(self) -> None:
        with self.assertRaises(TypeError):
            bf16.to_float32(np.zeros(1, np.float16))
