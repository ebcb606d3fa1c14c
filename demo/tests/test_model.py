"""The model file, the vocabulary and the forward pass, on small things made here."""

from __future__ import annotations

import struct
import tempfile
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from demo.caches import LocalCaches
from demo.decode import greedy
from demo.gguf import File
from demo.model import Model, attend
from demo.tokenizer import Tokenizer, split_words

LAYERS, HEADS, KV_HEADS, DIM, FFN, WORDS = 2, 4, 2, 8, 32, 40
WIDTH = HEADS * DIM
random = np.random.default_rng(7)


def string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(one: Any) -> bytes:
    """A metadata value with its type in front."""
    if isinstance(one, str):
        return struct.pack("<I", 8) + string(one)
    if isinstance(one, float):
        return struct.pack("<If", 6, one)
    if isinstance(one, list):
        return struct.pack("<IIQ", 9, 8, len(one)) + b"".join(map(string, one))
    return struct.pack("<II", 4, one)


def write_gguf(path: Path, meta: dict[str, Any], tensors: dict[str, Any]) -> None:
    """`tensors`: name to (type, shape, bytes)."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(meta))
    head += b"".join(string(name) + value(one) for name, one in meta.items())
    data = b""
    for name, (kind, shape, raw) in tensors.items():
        axes = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        head += string(name) + axes + struct.pack("<IQ", kind, len(data))
        data += raw + bytes(-len(raw) % 32)
    path.write_bytes(head + bytes(-len(head) % 32) + data)


def floats(*shape: int) -> tuple[int, tuple[int, ...], bytes]:
    return 0, shape, (random.standard_normal(shape) / 4).astype("<f4").tobytes()


def tiny_model(path: Path) -> Model:
    """A model with random weights."""
    meta = {
        "llama.block_count": LAYERS, "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": KV_HEADS, "llama.embedding_length": WIDTH,
        "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.freq_base": 10000.0,
    }  # fmt: skip
    tensors = {"token_embd.weight": floats(WORDS, WIDTH), "output_norm.weight": floats(WIDTH)}
    for layer in range(LAYERS):
        shapes = {
            "attn_norm": (WIDTH,), "attn_q": (WIDTH, WIDTH), "attn_k": (KV_HEADS * DIM, WIDTH),
            "attn_v": (KV_HEADS * DIM, WIDTH), "attn_output": (WIDTH, WIDTH),
            "ffn_norm": (WIDTH,), "ffn_gate": (FFN, WIDTH), "ffn_up": (FFN, WIDTH),
            "ffn_down": (WIDTH, FFN),
        }  # fmt: skip
        for name, shape in shapes.items():
            tensors[f"blk.{layer}.{name}.weight"] = floats(*shape)
    write_gguf(path, meta, tensors)
    return Model(File(path))


class InFolder(unittest.TestCase):
    def setUp(self) -> None:
        self.path = Path(self.enterContext(tempfile.TemporaryDirectory()), "m.gguf")


class GgufTest(InFolder):
    def test_metadata_and_tensors(self) -> None:
        scale, low = np.float16(0.5), np.float16(-2)
        nibbles = np.arange(16, dtype=np.uint8) | (np.arange(16, dtype=np.uint8)[::-1] << 4)
        bytes8 = np.arange(-16, 16, dtype=np.int8)
        write_gguf(
            self.path,
            {"name": "tiny", "list": ["a", "ä"], "count": 3, "number": 0.25},
            {
                "f": floats(3, 5),
                "q4": (3, (1, 32), scale.tobytes() + low.tobytes() + nibbles.tobytes()),
                "q8": (8, (32,), scale.tobytes() + bytes8.tobytes()),
                "odd": (14, (32,), b""),
            },
        )
        file = File(self.path)
        self.assertEqual(
            file.meta, {"name": "tiny", "list": ["a", "ä"], "count": 3, "number": 0.25}
        )
        self.assertEqual(file.tensor("f").shape, (3, 5))
        halves = np.concatenate([np.arange(16), np.arange(16)[::-1]])
        np.testing.assert_array_equal(file.tensor("q4"), [halves * 0.5 - 2])
        np.testing.assert_array_equal(file.tensor("q8"), bytes8 * 0.5)
        with self.assertRaisesRegex(ValueError, "odd has tensor type 14"):
            file.tensor("odd")

    def test_another_file(self) -> None:
        self.path.write_bytes(b"PK\3\4....")
        with self.assertRaisesRegex(ValueError, "not a GGUF file"):
            File(self.path)


class TokenizerTest(unittest.TestCase):
    def setUp(self) -> None:
        letters = [*"abcdefghijklmnopqrstuvwxyz.", "Ġ", "Ċ", "Ã", "¤"]
        merges = ["Ġ c", "a t", "Ġc at", "c at"]
        texts = ["?", "<|im_end|>", *letters, *(merge.replace(" ", "") for merge in merges)]
        types = [3, 3] + [1] * (len(texts) - 2)
        self.tokenizer = Tokenizer({
            "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm",
            "tokenizer.ggml.tokens": texts, "tokenizer.ggml.token_type": types,
            "tokenizer.ggml.merges": merges, "tokenizer.ggml.unknown_token_id": 0,
            "tokenizer.ggml.eos_token_id": 1,
        })  # fmt: skip
        self.texts = texts

    def encoded(self, text: str) -> list[str]:
        return [self.texts[token] for token in self.tokenizer.encode(text)]

    def test_merges_by_rank(self) -> None:
        self.assertEqual(self.encoded("a cat. cat"), ["a", "Ġcat", ".", "Ġcat"])
        self.assertEqual(self.encoded("cat"), ["cat"])

    def test_markers_and_unknown_bytes(self) -> None:
        self.assertEqual(self.encoded("a<|im_end|>\n7"), ["a", "<|im_end|>", "Ċ", "?"])

    def test_decode_is_the_way_back(self) -> None:
        text = "a cat ä.\n"
        self.assertEqual(self.tokenizer.decode(self.tokenizer.encode(text)), text)

    def test_words(self) -> None:
        cases = {
            "it's  so": ["it", "'s", " ", " so"],
            "a 12\n\n b": ["a", " ", "1", "2", "\n\n", " b"],
            "déjà vu! ½ x": ["déjà", " vu", "!", " ", "½", " x"],
            "…\u00a0a ": ["…", "\u00a0", "a", " "],
        }
        for text, words in cases.items():
            self.assertEqual(list(split_words(text)), words)


class ModelTest(InFolder):
    def setUp(self) -> None:
        super().setUp()
        self.model = tiny_model(self.path)

    def caches(self, *seqs: int) -> LocalCaches:
        return LocalCaches(seqs, (LAYERS, KV_HEADS, 32, DIM))

    def logits(self, tokens: list[int], step: int) -> npt.NDArray[np.float32]:
        """The last logits of a text that is run `step` tokens at a time."""
        caches = self.caches(1)
        for at in range(0, len(tokens), step):
            out = self.model.forward(caches, [1], [tokens[at : at + step]], [at])
        last: npt.NDArray[np.float32] = out[0]
        return last

    def test_one_pass_is_many_steps(self) -> None:
        tokens = [3, 1, 4, 1, 5, 9, 2, 6]
        whole = self.logits(tokens, len(tokens))
        for step in (1, 3):
            np.testing.assert_allclose(self.logits(tokens, step), whole, atol=1e-2)

    def test_order_matters(self) -> None:
        apart = np.abs(self.logits([3, 1, 4], 3) - self.logits([1, 3, 4], 3))
        self.assertGreater(apart.max(), 0.05)

    def test_company_does_not_matter(self) -> None:
        texts = [[3, 1, 4, 1], [2, 7], [5]]
        caches = self.caches(0, 1, 2)
        together = self.model.forward(caches, [0, 1, 2], texts, [0, 0, 0])
        for text, row in zip(texts, together, strict=True):
            np.testing.assert_allclose(self.logits(text, len(text)), row, atol=1e-3)

    def test_greedy(self) -> None:
        prompts = {1: [3, 1, 4], 2: [2]}
        steps: list[int] = []
        run = greedy(self.model, self.caches(1, 2), prompts, 5, None, steps.append)
        self.assertEqual(steps, [0, 1, 2, 3, 4, 5])
        self.assertEqual([len(tokens) for tokens in run.tokens.values()], [6, 6])
        for seq, prompt in prompts.items():
            want = [int(self.logits(prompt, 1).argmax())]
            while len(want) < 6:
                want.append(int(self.logits(prompt + want, 1).argmax()))
            self.assertEqual(run.tokens[seq], want)

    def test_who_ends_leaves_the_batch(self) -> None:
        prompts = {1: [3, 1, 4], 2: [2]}
        free = greedy(self.model, self.caches(1, 2), prompts, 5, None, lambda step: None)
        end = free.tokens[1][0]
        run = greedy(self.model, self.caches(1, 2), prompts, 5, end, lambda step: None)
        self.assertEqual(run.tokens[1], [end])


class AttendTest(unittest.TestCase):
    def test_against_the_definition(self) -> None:
        rows, tokens = 3, 5
        q = random.standard_normal((rows, HEADS, DIM)).astype(np.float32)
        kv = random.standard_normal((2, KV_HEADS, tokens, DIM)).astype(np.float16)
        got = attend(q, kv).reshape(rows, HEADS, DIM)
        k, v = kv.astype(np.float64)
        for row in range(rows):
            seen = tokens - rows + row + 1
            for head in range(HEADS):
                shared = head // (HEADS // KV_HEADS)
                weights = np.exp(k[shared, :seen] @ q[row, head] / np.sqrt(DIM))
                want = weights @ v[shared, :seen] / weights.sum()
                np.testing.assert_allclose(got[row, head], want, atol=1e-5)
