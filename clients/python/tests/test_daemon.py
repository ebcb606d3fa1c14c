"""The client against the real daemon. TRUEKVD names the binary; without it, nothing runs."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

import numpy as np

import truekv

BINARY = os.environ.get("TRUEKVD", "")
START_S = 20.0
CONFIG = """
models = (
  { name = "tiny"; n_layers = 2; n_kv_heads = 2; head_dim = 8; dtype = "f16"; capacity = 64; },
  { name = "brain"; n_layers = 2; n_kv_heads = 1; head_dim = 4; dtype = "bf16"; capacity = 16; }
);
debug: { allow_fault_injection = true; };
"""

random = np.random.default_rng(20261122)


def block(tokens: int, layers: int = 2, dtype: Any = np.float16) -> np.ndarray[Any, Any]:
    """Random K/V in the shape of model "tiny"."""
    return random.standard_normal((layers, 2, 2, tokens, 8)).astype(dtype)


@unittest.skipUnless(BINARY, "TRUEKVD does not name a daemon")
class DaemonTest(unittest.TestCase):
    address: str
    process: subprocess.Popen[bytes]

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(prefix="truekv-test-")
        cls.addClassCleanup(folder.cleanup)
        config = Path(folder.name, "truekvd.conf")
        config.write_text(CONFIG)
        cls.address = f"unix:{folder.name}/s"
        log = cls.enterClassContext(open(Path(folder.name, "log"), "w+b"))
        command = [BINARY, "--config", str(config), "--listen", cls.address, "--backend", "cpu"]
        cls.process = subprocess.Popen(command, stderr=log, stdout=log)
        cls.addClassCleanup(cls.stop)
        cls.await_daemon()

    @classmethod
    def stop(cls) -> None:
        cls.process.terminate()
        try:
            cls.process.wait(10)
        except subprocess.TimeoutExpired:
            cls.process.kill()
            cls.process.wait()

    @classmethod
    def await_daemon(cls) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and cls.process.poll() is None:
            try:
                truekv.Client(cls.address).close()
                return
            except truekv.ConnectionLost:
                time.sleep(0.02)
        raise RuntimeError(f"{BINARY} did not start (exit {cls.process.poll()})")

    def setUp(self) -> None:
        self.kv = self.enterContext(truekv.Client(self.address))
        self.addCleanup(self.free_all)

    def free_all(self) -> None:
        with truekv.Client(self.address) as kv:
            seqs = [one.seq for one in kv.list()]
            if seqs:
                kv.free(seqs)

    def test_ping_info_stats(self) -> None:
        self.kv.ping()
        info = self.kv.info()
        self.assertEqual((info.name, info.protocol, info.backend), ("truekv", 1, "cpu"))
        self.assertEqual(info.models[0], truekv.Model("tiny", 2, 2, 8, "f16", 64))
        self.assertTrue(info.healthy)
        self.assertTrue(self.kv.stats())

    def test_create_free_and_info(self) -> None:
        made = self.kv.create(7, label="seven", capacity=10)
        self.assertEqual((made.seq, made.model, made.capacity, made.len), (7, "tiny", 10, 0))
        chosen = self.kv.create(model="brain").seq
        self.assertNotEqual(chosen, 7)
        self.assertEqual(self.kv.seq_info(7).label, "seven")
        self.assertEqual(self.kv.free([7, chosen]), 2)
        with self.assertRaises(truekv.NotFound) as caught:
            self.kv.seq_info(7)
        self.assertEqual(caught.exception.seq, 7)

    def test_ragged_append_and_read(self) -> None:
        blocks = {seq: block(tokens) for seq, tokens in ((1, 3), (2, 1), (3, 20))}
        for seq in blocks:
            self.kv.create(seq)
        answer = self.kv.append(list(blocks), list(blocks.values()), pos=[0, 0, 0])
        self.assertEqual(answer.lens, [3, 1, 20])
        more = block(2)
        self.assertEqual(self.kv.append([1], more, pos=[3]).lens, [5])
        whole = np.concatenate([blocks[1], more], axis=3)
        self.assertEqual(self.kv.read(1).tobytes(), whole.tobytes())
        part = self.kv.read(3, layers=(1, 2), pos=4, tokens=7)
        np.testing.assert_array_equal(part, blocks[3][1:2, :, :, 4:11])

    def test_a_layer_at_a_time(self) -> None:
        one = block(3)
        self.kv.create(1)
        self.assertEqual(self.kv.append([1], one[:1], layers=(0, 1)).lens, [0])
        self.assertEqual(self.kv.seq_info(1).layer_lens, [3, 0])
        self.assertEqual(self.kv.append([1], one[1:], layers=(1, 2), pos=[0]).lens, [3])
        np.testing.assert_array_equal(self.kv.read(1), one)

    def test_conversion(self) -> None:
        self.kv.create(1)
        values = block(2, dtype=np.float32)
        self.kv.append([1], values)
        np.testing.assert_array_equal(self.kv.read(1), values.astype(np.float16))
        np.testing.assert_array_equal(
            self.kv.read(1, dtype="f32"), values.astype(np.float16).astype(np.float32)
        )

    def test_bf16(self) -> None:
        self.kv.create(1, model="brain")
        values = random.standard_normal((2, 2, 1, 3, 4)).astype(np.float32)
        bits = truekv.bf16.from_float32(values)
        self.kv.append([1], bits)
        self.kv.append([1], values)  # converted by the daemon: the same rounding
        got = self.kv.read(1)
        self.assertEqual(got.dtype, np.uint16)
        np.testing.assert_array_equal(got, np.concatenate([bits, bits], axis=3))

    def test_one_bad_item_and_nothing_is_written(self) -> None:
        self.kv.create(1)
        self.kv.create(2, capacity=2)
        with self.assertRaises(truekv.CapacityExceeded) as full:
            self.kv.append([1, 2], [block(3), block(3)])
        self.assertEqual([item["index"] for item in full.exception.items], [1])
        self.assertEqual((full.exception.seq, full.exception.capacity), (2, 2))
        with self.assertRaises(truekv.PositionMismatch) as wrong:
            self.kv.append([1, 2], [block(1), block(1)], pos=[4, 0])
        self.assertEqual((wrong.exception.seq, wrong.exception.expected), (1, 0))
        with self.assertRaises(truekv.NotFound):
            self.kv.append([1, 99], [block(1), block(1)])
        self.assertEqual([self.kv.seq_info(seq).len for seq in (1, 2)], [0, 0])

    def test_refusals(self) -> None:
        self.kv.create(1)
        with self.assertRaises(truekv.AlreadyExists):
            self.kv.create(1)
        with self.assertRaises(truekv.OutOfRange):
            self.kv.read(1, tokens=1)
        with self.assertRaises(truekv.InvalidParams):
            self.kv.create(1 << 53)
        unknown = truekv.requests.Request("seq.fly", {}, lambda result, payload: None)
        with self.assertRaises(truekv.MethodNotFound) as caught:
            self.kv.submit(unknown).result()
        self.assertEqual(caught.exception.method, "seq.fly")
        self.kv.ping()

    def test_truncate(self) -> None:
        self.kv.create(1)
        first, second = block(5), block(2)
        self.kv.append([1], first)
        self.assertEqual(self.kv.truncate(1, 3), 3)
        self.kv.append([1], second, pos=[3])
        want = np.concatenate([first[:, :, :, :3], second], axis=3)
        np.testing.assert_array_equal(self.kv.read(1), want)

    def test_list(self) -> None:
        for seq in range(10, 17):
            self.kv.create(seq)
        self.assertEqual(sorted(one.seq for one in self.kv.list(page=3)), list(range(10, 17)))
        self.assertEqual(len(list(self.kv.list())), 7)

    def test_pipeline(self) -> None:
        blocks = [block(1) for _ in range(40)]
        self.kv.create(1)
        with self.kv.pipeline() as pipeline:
            appended = [pipeline.append([1], one) for one in blocks]
            reads = [pipeline.read(1, pos=i, tokens=1) for i in range(40)]
        self.assertEqual([a.result().lens for a in appended], [[i + 1] for i in range(40)])
        for got, want in zip(reads, blocks, strict=True):
            np.testing.assert_array_equal(got.result(), want)

    def test_sequences_that_end_with_their_connection(self) -> None:
        with truekv.Client(self.address) as other:
            other.create(5, on_disconnect="free")
            other.create(6)
        deadline = time.monotonic() + 10
        while [one.seq for one in self.kv.list()] != [6] and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual([one.seq for one in self.kv.list()], [6])

    def test_selftest(self) -> None:
        report = self.kv.selftest()
        self.assertTrue(report.ok)
        self.assertEqual(len(report.items), 8)
        self.assertTrue(all(item.nonzero["batched"] > 0 for item in report.items))

    def test_log_level_and_reload(self) -> None:
        self.assertEqual(self.kv.log_level("debug"), truekv.LogLevel("debug", "info"))
        self.assertEqual(self.kv.log_level("info").was, "debug")
        self.assertEqual(self.kv.reload(), truekv.Reloaded([], []))
        with self.assertRaises(truekv.InvalidParams):
            self.kv.log_level("loud")  # type: ignore[arg-type]

    def test_verify_finds_an_injected_fault(self) -> None:
        for seq in (1, 2, 3):
            self.kv.create(seq)
        before = self.kv.append([1, 2, 3], [block(2) for _ in range(3)])
        clean = self.kv.verify(seqs=[1, 2, 3])
        self.assertTrue(clean.ok)
        self.assertGreaterEqual(clean.items_checked, 3)
        self.kv.inject("shared_pointers", batches=1)
        after = self.kv.append([1, 2, 3], [block(1) for _ in range(3)])
        self.assertGreater(after.batch, before.batch)
        report = self.kv.verify(seqs=[1, 2, 3])
        self.assertFalse(report.ok)
        self.assertEqual({one.batch for one in report.divergences}, {after.batch})
        self.assertIn("wrong_item", {one.kind for one in report.divergences})
