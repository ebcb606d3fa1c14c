"""Tokens and TLS, against a peer that says what each test wants it to say."""

from __future__ import annotations

import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import numpy as np

import truekv
from tests.fake_server import FakeServer, Peer

BLOCK = (np.arange(1 << 20) % 1999).astype(np.float16).reshape(1, 2, 1, -1, 64)


def play(peer: Peer) -> None:
    """Wants the token "secret" first; then tells what it got, or sends the payload back."""
    request, _ = peer.request()
    if request["method"] == "auth":
        if request["params"] != {"token": "secret"}:
            peer.refuse(request, -32009, {"reason": "permission_denied"})
            return
        peer.answer(request, {})
    else:
        peer.answer(request, {"first": request["method"]})
    kept = b""
    while True:
        request, payload = peer.request()
        kept = payload or kept
        if request["method"] == "seq.append":
            peer.answer(request, {"lens": [1], "batch": 1})
        elif request["method"] == "seq.read":
            peer.answer(request, {"shape": list(BLOCK.shape), "dtype": "f16"}, kept)
        else:
            peer.answer(request, {"after": "auth"})


class TokenTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="truekv-test-")))
        self.server = self.enterContext(FakeServer(play))

    def file(self, text: str) -> Path:
        path = self.folder / "token"
        path.write_text(text)
        return path

    def test_goes_first(self) -> None:
        with truekv.Client(self.server.path, token="secret") as kv:
            self.assertEqual(kv.stats(), {"after": "auth"})
        with truekv.Client(self.server.path, token_file=self.file("secret \n\n")) as kv:
            self.assertEqual(kv.stats(), {"after": "auth"})
        with truekv.Client(self.server.path) as kv:
            self.assertEqual(kv.stats(), {"first": "server.stats"})

    def test_refused(self) -> None:
        with self.assertRaises(truekv.PermissionDenied):
            truekv.Client(self.server.path, token="guess")

    def test_files_without_a_token(self) -> None:
        with self.assertRaisesRegex(ValueError, "holds no token"):
            truekv.Client(self.server.path, token_file=self.file(" \n"))
        with self.assertRaises(FileNotFoundError):
            truekv.Client(self.server.path, token_file=self.folder / "none")
        with self.assertRaisesRegex(ValueError, "not both"):
            truekv.Client(self.server.path, token="a", token_file=self.file("b"))


class TlsTest(unittest.TestCase):
    """A TLS server for one connection; its certificate, of its own making, is for 127.0.0.1."""

    folder: Path

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(prefix="truekv-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                   "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=test",
                   "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key", "-out",
                   "certificate"]  # fmt: skip
        subprocess.run(command, cwd=folder.name, check=True, capture_output=True)

    def setUp(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        self.address = f"tcp:127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        self.addCleanup(self.thread.join, 10)

    def serve(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "certificate", self.folder / "key")
        plain, _ = self.listener.accept()
        try:
            with context.wrap_socket(plain, server_side=True) as sock:
                play(Peer(sock))
        except (EOFError, OSError):
            pass

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.folder / "certificate")

    def test_blocks_go_and_come(self) -> None:
        with truekv.Client(self.address, token="secret", tls=self.context()) as kv:
            kv.append([1], [BLOCK])
            np.testing.assert_array_equal(kv.read(1), BLOCK)
            with kv.pipeline() as p:
                answers = [p.read(1) for _ in range(3)]
            for one in answers:
                np.testing.assert_array_equal(one.result(), BLOCK)

    def test_stranger(self) -> None:
        with self.assertRaisesRegex(truekv.ConnectionLost, "certificate verify failed"):
            truekv.Client(self.address, tls=ssl.create_default_context())

    def test_tcp_alone(self) -> None:
        with self.assertRaisesRegex(ValueError, "TLS is for tcp:"):
            truekv.Client("/nonexistent", tls=self.context())
        self.assertRaises(truekv.TruekvError, truekv.Client, self.address, token="plain", timeout=5)
