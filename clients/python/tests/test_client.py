"""The client against a peer that says what each test wants it to say."""

from __future__ import annotations

import json
import socket
import time
import unittest
from typing import Any

import numpy as np

import truekv
from tests.fake_server import FakeServer, Peer, answer_bytes
from truekv.errors import BY_REASON

CODES = {
    "parse_error": -32700, "invalid_request": -32600, "method_not_found": -32601,
    "invalid_params": -32602, "internal_error": -32603, "not_found": -32000,
    "already_exists": -32001, "position_mismatch": -32002, "capacity_exceeded": -32003,
    "out_of_memory": -32004, "overloaded": -32005, "too_large": -32006, "backend_failed": -32007,
    "draining": -32008, "permission_denied": -32009, "not_supported": -32010,
    "out_of_range": -32011,
}  # fmt: skip


def silent(peer: Peer) -> None:
    while True:
        peer.request()


def echo(peer: Peer) -> None:
    """Answers every request with what it was."""
    while True:
        request, payload = peer.request()
        peer.answer(request, {**request["params"], "bytes": len(payload)})


class CallsTest(unittest.TestCase):
    """What each method sends, and what it makes of the answer."""

    def exchange(self, result: Any, call: Any, payload: bytes = b"") -> tuple[Any, Any, bytes]:
        seen: list[Any] = []

        def play(peer: Peer) -> None:
            request, sent = peer.request()
            seen.extend((request, sent))
            peer.answer(request, result, payload)

        with FakeServer(play) as server, truekv.Client(server.path) as kv:
            answer = call(kv)
        self.assertEqual(seen[0]["jsonrpc"], "2.0")
        return answer, (seen[0]["method"], seen[0]["params"]), seen[1]

    def test_ping_and_stats(self) -> None:
        self.assertEqual(self.exchange({}, lambda kv: kv.ping())[:2], (None, ("server.ping", {})))
        self.assertEqual(self.exchange({"a": 1}, lambda kv: kv.stats())[0], {"a": 1})

    def test_info(self) -> None:
        model: Any = {"name": "m", "n_layers": 2, "n_kv_heads": 3, "head_dim": 4, "dtype": "f16",
                 "capacity": 5}  # fmt: skip
        limits = dict.fromkeys(("max_header_bytes", "max_payload_bytes", "max_connections",
                                "max_sequences", "memory_budget_bytes"), 1)  # fmt: skip
        device = {"ordinal": 0, "name": "cpu", "memory_total": 2, "memory_used": 1, "new": 7}
        wire = {"name": "truekv", "version": "1", "protocol": 1, "backend": "cpu",
                "devices": [device], "models": [model], "limits": limits, "uptime_s": 1.5,
                "healthy": True, "member_of_the_future": {}}  # fmt: skip
        answer, request, _ = self.exchange(wire, lambda kv: kv.info())
        self.assertEqual(request, ("server.info", {}))
        self.assertEqual(answer.models, (truekv.Model(**model),))
        self.assertEqual(answer.devices[0].memory_used, 1)
        self.assertTrue(answer.healthy)
        self.assertIsNone(answer.unhealthy_because)
        wire = {**wire, "healthy": False, "unhealthy_because": "damage"}
        self.assertEqual(self.exchange(wire, lambda kv: kv.info())[0].unhealthy_because, "damage")

    def test_create(self) -> None:
        wire: Any = {"seq": 9, "model": "m", "capacity": 5, "len": 0, "bytes": 64, "device": 0}
        answer, request, _ = self.exchange(
            wire, lambda kv: kv.create(np.int64(9), capacity=5, on_disconnect="free")
        )
        self.assertEqual(answer, truekv.Created(**wire))
        self.assertEqual(request[1], {"seq": 9, "capacity": 5, "on_disconnect": "free"})

    def test_append(self) -> None:
        blocks = [np.full((1, 2, 1, n, 2), n, np.float32) for n in (1, 2)]
        answer, request, payload = self.exchange(
            {"lens": [4, 9], "batch": 3},
            lambda kv: kv.append([7, 8], blocks, pos=[3, 7], layers=(1, 2)),
        )
        self.assertEqual(answer, truekv.Appended([4, 9], 3))
        want = {"seqs": [7, 8], "pos": [3, 7], "tokens": [1, 2], "layers": [1, 2], "dtype": "f32"}
        self.assertEqual(request, ("seq.append", want))
        self.assertEqual(payload, blocks[0].tobytes() + blocks[1].tobytes())

    def test_append_of_more_blocks_than_one_sendmsg_takes(self) -> None:
        blocks = np.arange(1500 * 2, dtype=np.float16).reshape(1500, 1, 2, 1, 1, 1)
        answer = {"lens": [1] * 1500, "batch": 1}
        payload = self.exchange(answer, lambda kv: kv.append(range(1500), blocks))[2]
        self.assertEqual(payload, blocks.tobytes())

    def test_read(self) -> None:
        block = np.arange(24, dtype=np.float16).reshape(1, 2, 3, 2, 2)
        wire = {"shape": list(block.shape), "dtype": "f16"}
        answer, request, _ = self.exchange(
            wire, lambda kv: kv.read(7, layers=(0, 1), pos=2, tokens=2), block.tobytes()
        )
        np.testing.assert_array_equal(answer, block)
        self.assertEqual(request[1], {"seq": 7, "layers": [0, 1], "pos": 2, "tokens": 2})

    def test_read_of_bf16(self) -> None:
        wire = {"shape": [1, 2, 1, 1, 1], "dtype": "bf16"}
        answer = self.exchange(wire, lambda kv: kv.read(7), b"\x80\x3f\x00\xc0")[0]
        self.assertEqual(answer.dtype, np.uint16)
        self.assertEqual(truekv.bf16.to_float32(answer).ravel().tolist(), [1.0, -2.0])

    def test_truncate_free_inject(self) -> None:
        self.assertEqual(self.exchange({"seq": 1, "len": 4}, lambda kv: kv.truncate(1, 4))[0], 4)
        self.assertEqual(self.exchange({"freed": 2}, lambda kv: kv.free([1, 2]))[0], 2)
        armed = self.exchange({"armed": ["swap_items"]}, lambda kv: kv.inject("swap_items", 3))
        self.assertEqual(armed[0], ["swap_items"])
        self.assertEqual(armed[1], ("debug.inject", {"fault": "swap_items", "batches": 3}))

    def test_inject_limited(self) -> None:
        request = self.exchange(
            {"armed": ["bit_flip"]},
            lambda kv: kv.inject("bit_flip", layer=0, kv_head=2, last_item=True, together=True),
        )[1]
        want = {"fault": "bit_flip", "layer": 0, "kv_head": 2, "last_item": True, "together": True}
        self.assertEqual(request, ("debug.inject", want))

    def test_operator(self) -> None:
        wire = {"changed": ["log.level"], "needs_restart": ["journal.bytes"]}
        answer, request, _ = self.exchange(wire, lambda kv: kv.reload())
        self.assertEqual(answer, truekv.Reloaded(["log.level"], ["journal.bytes"]))
        self.assertEqual(request, ("admin.reload", {}))
        self.assertEqual(self.exchange({}, lambda kv: kv.drain())[:2], (None, ("admin.drain", {})))
        wire_level = {"level": "debug", "was": "info"}
        level, request, _ = self.exchange(wire_level, lambda kv: kv.log_level("debug"))
        self.assertEqual(level, truekv.LogLevel("debug", "info"))
        self.assertEqual(request, ("admin.log_level", {"level": "debug"}))

    def test_seq_info(self) -> None:
        wire = {"seq": 1, "model": "m", "label": None, "capacity": 8, "len": 1, "bytes": 64,
                "device": 0, "idle_ms": 5, "appends": 2, "layer_lens": [1, 2]}  # fmt: skip
        answer = self.exchange(wire, lambda kv: kv.seq_info(1))[0]
        self.assertEqual((answer.layer_lens, answer.label), ([1, 2], None))

    def test_verify(self) -> None:
        found = {"seq": 1, "batch": 2, "layer": 3, "kv": "v", "between": "per_item/batched",
                 "kind": "wrong_item", "max_abs_diff": None, "mismatched_bytes": 12,
                 "worst": {"kv_head": 0, "kv_pos": 1, "dim": 2, "per_item": 0.5, "other": 0},
                 "nonzero": {"per_item": 6, "other": 0}, "detail": {"source_seq": 4}}  # fmt: skip
        wire = {"ok": False, "batches_checked": 1, "items_checked": 4, "bytes_compared": 99,
                "skipped": {"freed": 2}, "divergent_items": 1, "divergences": [found],
                "duration_us": 7}  # fmt: skip
        answer, request, _ = self.exchange(wire, lambda kv: kv.verify([1], batches=5))
        self.assertEqual(request, ("debug.verify", {"seqs": [1], "batches": 5}))
        self.assertEqual(answer.divergences[0].detail["source_seq"], 4)
        self.assertIsNone(answer.divergences[0].max_abs_diff)

    def test_verify_with_maps(self) -> None:
        found = {"seq": 1, "batch": 2, "layer": 3, "kv": "v", "between": "per_item/batched",
                 "kind": "wrong_item", "mismatched_bytes": 12,
                 "detail": {"ambiguous": True, "source_seqs": [4, 5]},
                 "map": {"heads": [12, 0], "heads_per_cell": 2, "pos": 7, "positions": [12],
                         "positions_per_cell": 3, "new": 1}}  # fmt: skip
        plain = {**found, "detail": {"source_seq": 4}, "map": None}
        wire = {"ok": False, "batches_checked": 1, "items_checked": 4, "bytes_compared": 99,
                "skipped": {"evicted": 2}, "divergent_items": 1, "divergences": [found, plain],
                "duration_us": 7}  # fmt: skip
        first, second = self.exchange(wire, lambda kv: kv.verify())[0].divergences
        self.assertEqual(first.map, truekv.DivergenceMap([12, 0], 2, 7, [12], 3))
        self.assertTrue(first.ambiguous)
        self.assertEqual((first.source_seqs, second.source_seqs), ([4, 5], [4]))
        self.assertFalse(second.ambiguous)
        self.assertIsNone(second.map)

    def test_last_report(self) -> None:
        answer, request, _ = self.exchange({"report": None}, lambda kv: kv.last_report())
        self.assertEqual((answer, request), (None, ("debug.last", {})))
        report = {"ok": False, "batches_checked": 1, "items_checked": 4, "bytes_compared": 99,
                  "skipped": {}, "divergent_items": 1, "divergences": [],
                  "duration_us": 7}  # fmt: skip
        wire = {"report": report, "source": "shadow", "age_ms": 12}
        answer = self.exchange(wire, lambda kv: kv.last_report())[0]
        self.assertEqual((answer.source, answer.age_ms, answer.report.ok), ("shadow", 12, False))
        self.assertEqual((answer.first, answer.report.journal), (None, None))
        early = {**report, "journal": {"oldest": 17, "newest": 23, "left": 16, "new": 1}}
        wire["first"] = {"report": early, "source": "verify", "age_ms": 99}
        answer = self.exchange(wire, lambda kv: kv.last_report())[0]
        self.assertEqual((answer.first.source, answer.first.age_ms), ("verify", 99))
        self.assertEqual(answer.first.report.journal, truekv.Journal(17, 23, 16))

    def test_scrub(self) -> None:
        damage: Any = {"seq": 7, "layer": 3, "kv": "k", "pos": 12, "expected": "0" * 16,
                       "found": "f" * 16}  # fmt: skip
        wire = {"ok": False, "seqs_checked": 1, "checksums_checked": 64, "bytes_read": 4096,
                "skipped": {"freed": 0, "truncated": 1}, "damaged_tokens": 1, "damages": [damage],
                "duration_us": 7}  # fmt: skip
        answer, request, _ = self.exchange(wire, lambda kv: kv.scrub([7]))
        self.assertEqual(request, ("debug.scrub", {"seqs": [7]}))
        self.assertEqual(answer.damages, (truekv.Damage(**damage),))
        self.assertEqual((answer.ok, answer.skipped["truncated"]), (False, 1))
        self.assertEqual(self.exchange(wire, lambda kv: kv.scrub())[1], ("debug.scrub", {}))

    def test_selftest(self) -> None:
        item = {"item": 0, "kv": "k", "max_abs_diff": 0, "mismatched_bytes": 0, "worst": {},
                "nonzero": {"per_item": 1, "batched": 1}}  # fmt: skip
        answer = self.exchange({"ok": True, "items": [item]}, lambda kv: kv.selftest(m=1))[0]
        self.assertEqual((answer.ok, answer.items[0].nonzero["batched"]), (True, 1))

    def test_list_pages(self) -> None:
        def play(peer: Peer) -> None:
            for first in (0, 2, 4):
                request, _ = peer.request()
                self.assertEqual(request["params"].get("cursor"), first or None)
                seqs = [
                    {
                        "seq": s,
                        "model": "m",
                        "capacity": 1,
                        "len": 0,
                        "bytes": 1,
                        "device": 0,
                        "idle_ms": 0,
                        "appends": 0,
                    }
                    for s in range(first, min(first + 2, 5))
                ]
                more = {"cursor": first + 2} if first < 4 else {}
                peer.answer(request, {"seqs": seqs, **more})  # fmt: skip

        with FakeServer(play) as server, truekv.Client(server.path) as kv:
            self.assertEqual([one.seq for one in kv.list(page=2)], [0, 1, 2, 3, 4])

    def test_an_answer_that_lacks_a_member(self) -> None:
        with self.assertRaises(truekv.ProtocolError):
            self.exchange({"lens": [1]}, lambda kv: kv.append([1], np.zeros((1, 2, 1, 1, 1), "f4")))


class ErrorsTest(unittest.TestCase):
    def refused(self, code: int, data: dict[str, Any]) -> truekv.TruekvError:
        """What ping() raises when it is refused so. The connection must go on."""

        def play(peer: Peer) -> None:
            peer.refuse(peer.request()[0], code, data)
            peer.answer(peer.request()[0], {})

        with FakeServer(play) as server, truekv.Client(server.path) as kv:
            with self.assertRaises(truekv.TruekvError) as caught:
                kv.ping()
            kv.ping()
        return caught.exception

    def test_every_reason_has_its_class(self) -> None:
        self.assertEqual(set(BY_REASON), set(CODES))
        for reason, code in CODES.items():
            error = self.refused(code, {"reason": reason, "extra": 1})
            self.assertIs(type(error), BY_REASON[reason])
            self.assertEqual((error.code, error.reason, error.message), (code, reason, str(error)))
            self.assertEqual(error.data["extra"], 1)

    def test_details(self) -> None:
        error = self.refused(-32002, {"reason": "position_mismatch", "seq": 3, "expected": 9})
        assert isinstance(error, truekv.PositionMismatch)
        self.assertEqual((error.seq, error.expected), (3, 9))

    def test_details_of_the_items_at_fault(self) -> None:
        items = [
            {"index": 1, "seq": 5, "reason": "not_found"},
            {"index": 2, "seq": 6, "reason": "capacity_exceeded", "len": 7, "capacity": 8},
        ]
        error = self.refused(-32003, {"reason": "capacity_exceeded", "items": items})
        assert isinstance(error, truekv.CapacityExceeded)
        self.assertEqual((error.seq, error.len, error.capacity), (6, 7, 8))
        self.assertEqual(error.items, items)

    def test_a_reason_of_the_future(self) -> None:
        error = self.refused(-32099, {"reason": "too_hot"})
        self.assertIs(type(error), truekv.TruekvError)
        self.assertEqual(error.reason, "too_hot")


class PipelineTest(unittest.TestCase):
    def test_answers_out_of_order(self) -> None:
        def play(peer: Peer) -> None:
            asked = [peer.request()[0] for _ in range(20)]
            for request in reversed(asked):
                seq = request["params"]["seq"]
                peer.answer(request, {"shape": [1, 2, 1, 1, 1], "dtype": "bf16"}, bytes([seq] * 4))

        with FakeServer(play) as server, truekv.Client(server.path) as kv:
            with kv.pipeline() as pipeline:
                pending = [pipeline.read(seq) for seq in range(20)]
            self.assertEqual([int(p.result()[0, 0, 0, 0, 0]) for p in pending],
                             [seq * 257 for seq in range(20)])  # fmt: skip

    def test_an_error_goes_to_its_own_request(self) -> None:
        def play(peer: Peer) -> None:
            first, second = peer.request()[0], peer.request()[0]
            peer.answer(second, {"seq": 1, "len": 2})
            peer.refuse(first, -32000, {"reason": "not_found", "seq": 7})

        with FakeServer(play) as server, truekv.Client(server.path) as kv, kv.pipeline() as p:
            bad, good = p.truncate(7, 2), p.truncate(1, 2)
            self.assertEqual(good.result(), 2)
            with self.assertRaises(truekv.NotFound):
                bad.result()

    def test_an_error_that_nobody_asked_for_is_raised_at_the_end(self) -> None:
        def play(peer: Peer) -> None:
            peer.refuse(peer.request()[0], -32000, {"reason": "not_found", "seq": 7})
            peer.answer(peer.request()[0], {})

        with FakeServer(play) as server, truekv.Client(server.path) as kv:
            with self.assertRaises(truekv.NotFound), kv.pipeline() as p:
                p.truncate(7, 2)
                p.ping()
            self.assertFalse(kv.closed)

    def test_both_sides_full(self) -> None:
        """A peer that answers each request before it reads the next: more bytes both ways than
        the sockets hold. A client that only sends, then only reads, would hang here."""
        megabyte = bytes(1 << 20)

        def play(peer: Peer) -> None:
            while True:
                request, _ = peer.request()
                peer.answer(request, {"shape": [1, 2, 1, 1 << 18, 1], "dtype": "bf16"}, megabyte)

        with FakeServer(play) as server, truekv.Client(server.path, timeout=20) as kv:
            block = np.zeros((1, 2, 1, 1 << 18, 1), np.float16)
            sent = truekv.requests.append([1], [block])
            request = truekv.requests.Request(
                "seq.append", sent.params, truekv.requests.read(1).decode, sent.payload
            )
            pending = [kv.submit(request) for _ in range(16)]
            self.assertEqual({p.result().nbytes for p in pending}, {1 << 20})


class ConnectionTest(unittest.TestCase):
    def test_answers_byte_by_byte(self) -> None:
        def play(peer: Peer) -> None:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            request, _ = peer.request()
            result = {"shape": [1, 2, 1, 1, 1], "dtype": "bf16"}
            for one in answer_bytes(request["id"], result, b"wxyz"):
                peer.sock.sendall(bytes([one]))

        with FakeServer(play) as server, truekv.Client(server.path) as kv:
            self.assertEqual(kv.read(1).tobytes(), b"wxyz")

    def test_nobody_listens(self) -> None:
        with self.assertRaisesRegex(truekv.ConnectionLost, "cannot connect to /nonexistent/s"):
            truekv.Client("/nonexistent/s")

    def test_bad_addresses(self) -> None:
        for address in ("tcp:host", "tcp::1", "tcp:host:x"):
            with self.subTest(address=address), self.assertRaises(ValueError):
                truekv.Client(address)

    def test_tcp(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            with truekv.Client(f"tcp:127.0.0.1:{port}") as kv:
                pending = kv.submit(truekv.requests.ping())
                sock, _ = listener.accept()
                with sock:
                    peer = Peer(sock)
                    peer.answer(peer.request()[0], {})
                    self.assertIsNone(pending.result())

    def test_lost_at_every_byte_of_an_answer(self) -> None:
        answer = answer_bytes(1, {"shape": [1, 2, 1, 1, 1], "dtype": "bf16"}, b"wxyz")
        left = iter(range(len(answer)))

        def play(peer: Peer) -> None:
            peer.request()
            peer.sock.sendall(answer[: next(left)])

        with FakeServer(play) as server:
            for _ in range(len(answer)):
                with truekv.Client(server.path) as kv:
                    with self.assertRaises(truekv.ConnectionLost):
                        kv.read(1)
                    with self.assertRaisesRegex(truekv.ConnectionLost, "is closed"):
                        kv.ping()

    def test_lost_while_sending_says_why_if_it_was_told(self) -> None:
        def play(peer: Peer) -> None:
            error = {"code": -32006, "message": "line too long", "data": {"reason": "too_large"}}
            peer.sock.sendall(json.dumps({"id": None, "error": error}).encode() + b"\n")

        with FakeServer(play) as server, truekv.Client(server.path) as kv:
            with self.assertRaises(truekv.TooLarge):
                kv.append([1], np.zeros((1, 2, 1, 1 << 20, 1), np.float16))
            self.assertTrue(kv.closed)

    def test_all_in_flight_fail_together(self) -> None:
        def play(peer: Peer) -> None:
            for _ in range(3):
                peer.request()

        with FakeServer(play) as server, truekv.Client(server.path) as kv:
            pending = [kv.submit(truekv.requests.ping()) for _ in range(3)]
            for one in pending:
                with self.assertRaises(truekv.ConnectionLost):
                    one.result()

    def test_timeout_closes(self) -> None:
        with FakeServer(silent) as server, truekv.Client(server.path, timeout=0.05) as kv:
            start = time.monotonic()
            with self.assertRaises(TimeoutError) as caught:
                kv.ping()
            self.assertIsInstance(caught.exception, truekv.RequestTimeout)
            self.assertLess(time.monotonic() - start, 5)
            self.assertTrue(kv.closed)

    def test_answers_that_are_not_the_protocol(self) -> None:
        for raw in (b"hello\n", b'{"id":99,"result":{}}\n', b'{"id":"1","result":{}}\n'):

            def play(peer: Peer, raw: bytes = raw) -> None:
                peer.request()
                peer.sock.sendall(raw)

            with (
                self.subTest(raw=raw),
                FakeServer(play) as server,
                truekv.Client(server.path) as kv,
                self.assertRaises(truekv.ProtocolError),
            ):
                kv.ping()

    def test_closed_by_the_with_block(self) -> None:
        with FakeServer(echo) as server:
            with truekv.Client(f"unix:{server.path}") as kv:
                kv.ping()
            self.assertTrue(kv.closed)
            with self.assertRaises(truekv.ConnectionLost):
                kv.ping()
