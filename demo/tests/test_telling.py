"""What the demo shows, and what it accepts."""

from __future__ import annotations

import contextlib
import io
import unittest
from typing import Any
from unittest import mock

import numpy as np
from truekv import Divergence, VerifyReport

from demo import checks, live, recording, replay
from demo.report import sentences
from demo.screen import Screen, one_line, wrap

random = np.random.default_rng(7)


def divergence(**given: Any) -> Divergence:
    usual: Any = {
        "seq": 21, "batch": 5, "layer": 0, "kv": "k", "between": "per_item/batched",
        "kind": "wrong_item", "mismatched_bytes": 9, "detail": {"source_seq": 24},
    }  # fmt: skip
    return Divergence(**{**usual, **given})


def report(*divergences: Divergence) -> VerifyReport:
    return VerifyReport(not divergences, 3, 12, 1 << 20, len(divergences), 5, {}, divergences)


class ReportTest(unittest.TestCase):
    def test_all_well(self) -> None:
        self.assertEqual(
            list(sentences(report())),
            ["3 batches, 12 items and 1.0 MiB compared in 0.00 s: all equal."],
        )

    def test_what_is_alike_is_one_sentence(self) -> None:
        alike = [divergence(layer=layer, kv=kv) for layer in range(3) for kv in "kv"]
        _, first, second = sentences(report(*alike, divergence(seq=22, kind="bit_flip")))
        self.assertIn("Sequence 21, layers 0 to 2, batches 5, K and V: wrong_item", first)
        self.assertIn("rows of sequence 24", first)
        self.assertIn("Sequence 22", second)

    def test_kinds_and_details_that_are_not_known(self) -> None:
        for kind in ("of_the_future", "wrong_item"):
            self.assertIn(kind, list(sentences(report(divergence(kind=kind, detail={}))))[1])


class ChecksTest(unittest.TestCase):
    def judged(self, judge: Any, found: VerifyReport) -> None:
        kv = mock.Mock(verify=mock.Mock(return_value=found))
        with contextlib.redirect_stdout(io.StringIO()):
            judge(Screen(), kv)

    @staticmethod
    def named(screen: Screen, kv: Any) -> None:
        checks.fault_is_named(screen, kv, "", None)

    def test_what_must_be(self) -> None:
        self.judged(checks.all_well, report())
        self.judged(self.named, report(divergence()))

    def test_what_must_not_be(self) -> None:
        for judge, found in (
            (checks.all_well, report(divergence())),
            (checks.all_well, VerifyReport(True, 0, 0, 0, 0, 5)),
            (self.named, report()),
            (self.named, report(divergence(), divergence(kind="unknown"))),
        ):
            with self.assertRaises(checks.Failed):
                self.judged(judge, found)


class ScreenTest(unittest.TestCase):
    def test_wrap_knows_where_lines_start(self) -> None:
        text = "one two two-three two four"
        lines = wrap(text, 9)
        self.assertTrue(all(text[start:].startswith(line) for start, line in lines))
        self.assertEqual(" ".join(line for _, line in lines), text)

    def test_columns(self) -> None:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), mock.patch.object(Screen, "width", 25):
            Screen().columns(("left", "right"), "a b", "a long text here", 2)
        self.assertEqual(
            out.getvalue(),
            "  left       | right\n  a b        | a long\n             | text here\n",
        )

    def test_one_line(self) -> None:
        self.assertEqual(one_line("a\n\n b\x1b[31m\tc"), "a b [31m c")


class LiveTest(unittest.TestCase):
    def test_common_length(self) -> None:
        self.assertEqual(live.common_length([1, 2, 3], [1, 2, 4]), 2)
        self.assertEqual(live.common_length([1, 2], [1, 2, 4]), 2)
        self.assertEqual(live.common_length([], [1]), 0)


class RecordingTest(unittest.TestCase):
    def test_what_is_shipped_fits_together(self) -> None:
        tape = recording.load()
        self.assertEqual(len(tape.prompts), 4)
        self.assertGreater(len(set(tape.prompt_lengths)), 1)
        sizes = zip(tape.kv, tape.tokens, tape.prompt_lengths, tape.pieces, strict=True)
        for kv, tokens, prompt, pieces in sizes:
            self.assertEqual(kv.shape, (len(recording.LAYERS), 2, 3, len(tokens), 64))
            self.assertEqual(len(tokens), prompt + tape.steps)
            self.assertEqual(len(pieces), tape.steps)
            self.assertTrue(np.isfinite(kv).all())
        self.assertLess(recording.PATH.stat().st_size, 2 << 20)

    def test_replay_notices_a_single_bit(self) -> None:
        tape = recording.load()
        caches: dict[int, Any] = {}
        flipped = False

        class Flipping:
            """Keeps what it is given; flips one bit of the last sequence's newest row, once."""

            def __init__(self, kv: Any, seqs: Any) -> None:
                for seq in seqs:
                    caches[seq] = [None] * len(recording.LAYERS)

            def append(self, seqs: Any, layer: int, blocks: Any) -> None:
                nonlocal flipped
                for seq, block in zip(seqs, blocks, strict=True):
                    old = caches[seq][layer]
                    whole = [block] if old is None else [old, block]
                    caches[seq][layer] = np.concatenate(whole, axis=3)
                if kv_is_bad and not flipped:
                    caches[seqs[-1]][layer].view(np.uint16)[0, 1, 2, -1, 63] ^= 1
                    flipped = True

            def read(self, seqs: Any, layer: int) -> Any:
                return [caches[seq][layer] for seq in seqs]

        for kv_is_bad in (False, True):
            with mock.patch.object(replay, "DaemonCaches", Flipping):
                found = replay.replay(Screen(), mock.Mock(), tape, first=1, fault=False)
            self.assertEqual(found.wrong, [0, 0, 0, (tape.steps + 1) * kv_is_bad])
            self.assertLess(max(found.attention), replay.NEAR)
