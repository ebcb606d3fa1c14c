"""Messages out of bytes, however the bytes are cut."""

from __future__ import annotations

import json
import unittest

from truekv.errors import ProtocolError
from truekv.framing import FrameReader, Message, encode

STREAM = (
    b'{"id":1,"result":{}}\r\n'
    b"\n"
    b'{"id":2,"result":{"text":"\xc3\xa4\\n"},"payload":5}\n'
    b"ab\ncd"
    b'{"id":3,"payload":0,"result":{}}\n'
)


def feed(reader: FrameReader, data: bytes) -> list[Message]:
    """Give `data` to the reader in pieces as large as it takes them."""
    messages = []
    while data:
        room = reader.buffer()
        count = min(len(room), len(data))
        room[:count] = data[:count]
        messages += reader.advance(count)
        data = data[count:]
    return messages


class FrameReaderTest(unittest.TestCase):
    def check(self, messages: list[Message]) -> None:
        self.assertEqual([m.header["id"] for m in messages], [1, 2, 3])
        payloads = [None if m.payload is None else bytes(m.payload) for m in messages]
        self.assertEqual(payloads, [None, b"ab\ncd", None])
        self.assertEqual(messages[1].header["result"]["text"], "ä\n")

    def test_whole(self) -> None:
        self.check(feed(FrameReader(), STREAM))

    def test_cut_in_two_at_every_byte(self) -> None:
        for cut in range(len(STREAM) + 1):
            with self.subTest(cut=cut):
                reader = FrameReader()
                self.check(feed(reader, STREAM[:cut]) + feed(reader, STREAM[cut:]))

    def test_byte_by_byte(self) -> None:
        reader = FrameReader()
        self.check([m for one in STREAM for m in feed(reader, bytes([one]))])

    def test_payloads_around_the_size_of_the_receive_buffer(self) -> None:
        for size in (1, 65535, 65536, 65537, 300_000):
            payload = bytes(i * 7 % 251 for i in range(size))
            stream = json.dumps({"id": 1, "payload": size}).encode() + b"\n" + payload
            messages = feed(FrameReader(), stream + b'{"id":2}\n')
            self.assertEqual([m.header["id"] for m in messages], [1, 2])
            self.assertEqual(messages[0].payload, payload)

    def test_what_is_not_the_protocol(self) -> None:
        for line in (b"nonsense", b"[]", b"7", b'{"a":NaN}', b'{"payload":-1}', b'{"payload":"4"}'):
            with self.subTest(line=line), self.assertRaises(ProtocolError):
                feed(FrameReader(), line + b"\n")


class EncodeTest(unittest.TestCase):
    def test_payload_is_not_copied(self) -> None:
        data = bytearray(b"abcd")
        line, payload = encode(7, "m", {"a": 1}, [memoryview(data)])
        want = {"jsonrpc": "2.0", "id": 7, "method": "m", "params": {"a": 1}, "payload": 4}
        self.assertEqual(json.loads(bytes(line)), want)
        data[0] = ord("x")
        self.assertEqual(payload, b"xbcd")

    def test_no_payload(self) -> None:
        (line,) = encode(7, "m", {}, [])
        self.assertNotIn("payload", json.loads(bytes(line)))
