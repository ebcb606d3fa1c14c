"""truekvd with TLS, the real binary: whom it lets in, what it does with nonsense, and every byte both ways."""

from __future__ import annotations

import os
import random
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from authority import sign_all
from fixture import MODEL, TOKEN, TOKEN_BYTES, TRUEKVD, Client, Closed, Daemon, context

FOLDER = Path()
SIGNED: dict[str, tuple[Path, Path]] = {}


def setUpModule() -> None:
    global FOLDER
    FOLDER = Path(tempfile.mkdtemp(prefix="tkv-ca-"))
    SIGNED.update(sign_all(FOLDER))


def tearDownModule() -> None:
    shutil.rmtree(FOLDER)


def settings(name: str = "server", more: str = "") -> str:
    certificate, key = SIGNED[name]
    return f'tls_certificate = "{certificate}"; tls_key = "{key}"; {more}'


def mutual() -> str:
    return settings(more=f'tls_client_ca = "{SIGNED["ours"][0]}";')


class Case(unittest.TestCase):
    def start(self, auth: str, more: str = "") -> Daemon:
        daemon = Daemon(auth, more)
        self.addCleanup(daemon.close)
        self.daemon = daemon
        return daemon

    def connect(self, made: ssl.SSLContext | None = None) -> Client:
        client = self.daemon.secure(made or context(SIGNED["ours"][0]))
        self.addCleanup(client.close)
        return client


class WhoGetsIn(Case):
    def test_the_token_is_needed_inside(self) -> None:
        self.start(settings())
        client = self.connect()
        self.assertEqual(client.refused("server.ping"), "permission_denied")
        self.assertTrue(client.at_end())
        client = self.connect().authenticate()
        self.assertEqual(client.call("server.ping"), {})
        self.assertEqual(client.refused("debug.last"), "permission_denied")
        self.assertNotIn(TOKEN, self.daemon.log())

    def test_no_token_where_none_is_wanted(self) -> None:
        self.start(settings(more="tcp_without_token = true; tcp_debug = true;"))
        client = self.connect()
        self.assertEqual(client.call("server.ping"), {})
        self.assertIsNone(client.call("debug.last").get("report"))

    def test_versions(self) -> None:
        self.start(settings())
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            made = context(SIGNED["ours"][0])
            made.minimum_version = made.maximum_version = version
            client = self.connect(made).authenticate()
            self.assertEqual(client.call("server.ping"), {})
        made = context(None)
        made.set_ciphers("ALL:@SECLEVEL=0")
        made.minimum_version, made.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, ConnectionResetError)):
            self.connect(made)
        self.daemon.await_closed("unauthenticated")

    def test_certificates_that_clients_refuse(self) -> None:
        self.start(settings("old server"))
        self.assertIn("certificate_expired", self.daemon.log())
        with self.assertRaisesRegex(ssl.SSLCertVerificationError, "expired"):
            self.connect()
        with self.assertRaisesRegex(ssl.SSLCertVerificationError, "verify failed"):
            self.connect(context(SIGNED["theirs"][0]))
        self.assertEqual(self.connect(context(None)).authenticate().call("server.ping"), {})

    def test_certificates_of_clients(self) -> None:
        self.start(mutual())
        client = self.connect(context(SIGNED["ours"][0], SIGNED["client"]))
        self.assertEqual(client.authenticate().call("server.ping"), {})
        client = self.connect(context(SIGNED["ours"][0], SIGNED["client"]))
        self.assertEqual(client.refused("server.ping"), "permission_denied")
        for own in (None, SIGNED["stranger"], SIGNED["old client"], SIGNED["theirs"]):
            with self.assertRaises((ssl.SSLError, ConnectionResetError, Closed)):
                self.connect(context(SIGNED["ours"][0], own)).authenticate()
        self.daemon.await_closed("unauthenticated", 5)
        log = self.daemon.log()
        for why in ("peer did not return a certificate", "certificate verify failed"):
            self.assertIn(f'why="{why}"', log)

    def test_certificates_are_renewed(self) -> None:
        """A reload takes what the same files hold now, for connections that are yet to come."""
        certificate, key = FOLDER / "renewed.pem", FOLDER / "renewed.key"

        def write(one: Path, other: Path) -> None:
            shutil.copy(one, certificate)
            shutil.copy(other, key)

        write(*SIGNED["old server"])
        self.start(f'tls_certificate = "{certificate}"; tls_key = "{key}";')
        old = self.connect(context(None)).authenticate()
        local = self.daemon.local()
        self.addCleanup(local.close)
        write(SIGNED["server"][0], SIGNED["client"][1])
        self.assertEqual(local.refused("admin.reload"), "invalid_params")
        with self.assertRaisesRegex(ssl.SSLCertVerificationError, "expired"):
            self.connect()
        write(*SIGNED["server"])
        changed = local.call("admin.reload")
        files = ["auth.tls_certificate", "auth.tls_key"]
        self.assertEqual(changed, {"changed": files, "needs_restart": []})
        self.assertEqual(self.connect().authenticate().call("server.ping"), {})
        self.assertEqual(old.call("server.ping"), {})

    def test_files_that_are_none(self) -> None:
        """A pipe that nobody writes to, a folder, a file without an end: a reload says so, and service goes on."""
        folder = Path(tempfile.mkdtemp(dir=FOLDER))
        paths = {name: folder / name for name in ("certificate", "key", "client_ca")}
        good = {"certificate": SIGNED["server"][0], "key": SIGNED["server"][1], "client_ca": SIGNED["ours"][0]}
        for name, path in paths.items():
            shutil.copy(good[name], path)
        self.start(" ".join(f'tls_{name} = "{path}";' for name, path in paths.items()))
        local = self.daemon.local()
        self.addCleanup(local.close)
        for name, path in paths.items():
            for make in (os.mkfifo, os.mkdir, lambda to: os.symlink("/dev/zero", to)):
                path.unlink()
                make(path)
                local.send("admin.reload")
                message = local.receive()[0]["error"]["message"]
                self.assertRegex(message, f"auth.tls_{name}: .* is no regular file")
                path.rmdir() if path.is_dir() else path.unlink()
                shutil.copy(good[name], path)
            with open(path, "ab") as stream:
                stream.truncate(1 << 30)
            self.assertEqual(local.refused("admin.reload"), "invalid_params")
            shutil.copy(good[name], path)
        self.assertEqual(local.call("admin.reload")["changed"], [])
        shutil.copy(SIGNED["theirs"][0], paths["client_ca"])
        self.assertEqual(local.call("admin.reload")["changed"], ["auth.tls_client_ca"])
        with self.assertRaises((ssl.SSLError, ConnectionResetError, Closed)):
            self.connect(context(SIGNED["ours"][0], SIGNED["client"])).authenticate()
        own = SIGNED["stranger"]
        self.assertEqual(self.connect(context(SIGNED["ours"][0], own)).authenticate().call("server.ping"), {})

    def test_chains(self) -> None:
        """What stands behind the certificate is sent, too; what is no certificate there is a mistake."""
        both = FOLDER / "chain.pem"
        both.write_bytes(SIGNED["server"][0].read_bytes() + SIGNED["ours"][0].read_bytes())
        self.start(f'tls_certificate = "{both}"; tls_key = "{SIGNED["server"][1]}";')
        self.assertEqual(self.connect().authenticate().call("server.ping"), {})
        words = ["openssl", "s_client", "-showcerts", "-connect", f"127.0.0.1:{self.daemon.port}"]
        said = subprocess.run(words, capture_output=True, text=True, input="", timeout=60).stdout
        self.assertEqual(said.count("BEGIN CERTIFICATE"), 2, said)

    def test_unix_sockets_are_plain(self) -> None:
        self.start(mutual())
        client = self.daemon.local()
        self.addCleanup(client.close)
        self.assertEqual(client.call("server.ping"), {})


class Nonsense(Case):
    def alert_of(self, stream: socket.socket) -> bytes:
        """All that comes until the end."""
        got = b""
        try:
            while piece := stream.recv(4096):
                got += piece
        except ConnectionResetError:
            pass
        return got

    def test_plain_text_and_noise(self) -> None:
        self.start(settings())
        lines = [b'{"jsonrpc":"2.0","id":1,"method":"auth","params":{"token":"x"}}\n', b"\n" * 1000,
                 b"GET / HTTP/1.1\r\n\r\n", bytes(100), random.Random(1).randbytes(70000)]  # fmt: skip
        for line in lines:
            with self.daemon.plain() as stream:
                stream.sendall(line)
                alert = self.alert_of(stream)[:1]
                self.assertIn(alert, (b"", b"\x15"), line[:20])  # 21: an alert, or no word at all
        self.daemon.await_closed("unauthenticated", len(lines))
        self.assertIn("tls_failed id=", self.daemon.log())
        self.assertEqual(self.connect().authenticate().call("server.ping"), {})

    def test_tls_to_a_plain_port(self) -> None:
        self.start("deadline_ms = 500;")
        with self.assertRaises((ssl.SSLError, ConnectionResetError)):
            self.connect()
        self.daemon.await_closed("unauthenticated")

    def test_half_a_handshake(self) -> None:
        """Whoever stops within it is closed after the deadline, wherever it was cut."""
        hello = ssl.MemoryBIO()
        other = context(None).wrap_bio(ssl.MemoryBIO(), hello, server_hostname="a")
        with self.assertRaises(ssl.SSLWantReadError):
            other.do_handshake()
        whole = hello.read()
        self.start(settings(more="deadline_ms = 500;"))
        streams = [self.daemon.plain() for _ in range(4)]
        for stream, cut in zip(streams, (0, 1, 100, len(whole))):
            stream.sendall(whole[:cut])
        for stream in streams:
            self.assertNotEqual(self.alert_of(stream)[:1], b"{")
            stream.close()
        self.daemon.await_closed("unauthenticated", 4)
        client = self.connect()  # a handshake alone does not do
        self.assertEqual(client.receive()[0]["error"]["message"],
                         "no token within 500 ms (auth.deadline_ms)")  # fmt: skip
        self.assertTrue(client.at_end())

    def test_places_are_few(self) -> None:
        self.start(settings(more="deadline_ms = 60000;"))
        streams = [self.daemon.plain() for _ in range(64)]
        with self.daemon.plain() as one_more:
            self.assertEqual(self.alert_of(one_more), b"")
        self.daemon.await_closed("refused")
        for stream in streams:
            stream.close()
        self.daemon.await_closed("by_client", 64)
        self.assertEqual(self.connect().authenticate().call("server.ping"), {})

    def test_garbage_in_midstream(self) -> None:
        self.start(settings())
        for authenticated in (False, True):
            client = self.connect()
            if authenticated:
                client.authenticate().call("server.ping")
            raw = socket.socket(fileno=os.dup(client.stream.fileno()))
            raw.sendall(b"\x17\x03\x03\x00\x40" + bytes(64))
            with self.assertRaises((ssl.SSLError, ConnectionResetError, Closed)):
                client.receive()
            raw.close()
        self.daemon.await_closed("unauthenticated")
        self.daemon.await_closed("broken_stream")
        self.assertEqual(self.connect().authenticate().call("server.ping"), {})

    def test_cut_streams(self) -> None:
        """Resets and ends within a payload, a line, a handshake: nothing stays behind."""
        self.start(settings())
        for cut in range(6):
            client = self.connect()
            if cut % 3 > 0:
                client.authenticate()
            if cut % 3 == 2:
                client.call("seq.create", seq=cut, on_disconnect="free")
                line = b'{"jsonrpc":"2.0","id":1,"method":"seq.append","params":{"seqs":[%d]},"payload":%d}\n'
                client.stream.sendall(line % (cut, TOKEN_BYTES) + bytes(100))
            if cut >= 3:
                linger = struct.pack("ii", 1, 0)
                client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.close()
        local = self.daemon.local()
        self.addCleanup(local.close)
        while local.call("server.stats")["connections"]["open"] > 1:
            pass
        while local.call("server.stats")["quota"]["users"] > 0:
            pass

    def test_noise_at_every_place(self) -> None:
        """Records with a byte changed anywhere: never a crash, and the next one is served."""
        self.start(settings(more="deadline_ms = 1000;"))
        rng = random.Random(7)
        for _ in range(25):
            client = self.connect().authenticate()
            raw = socket.socket(fileno=os.dup(client.stream.fileno()))
            raw.sendall(b"\x17\x03\x03" + rng.randbytes(rng.randrange(1, 4000)))
            client.close()
            raw.close()
        self.assertEqual(self.connect().authenticate().call("server.ping"), {})


class Bytes(Case):
    def both(self) -> tuple[Client, Client]:
        """A client over TLS and a local one, which may call debug.*."""
        local = self.daemon.local()
        self.addCleanup(local.close)
        return self.connect().authenticate(), local

    def verify(self, local: Client, items: int) -> None:
        result = local.call("debug.verify")
        self.assertTrue(result["ok"], result)
        self.assertEqual(result["items_checked"], items)
        self.assertTrue(local.call("debug.scrub")["ok"])

    def test_every_size_both_ways(self) -> None:
        """64 KiB to 8 MiB, and sizes around the records: what is read back is what was sent."""
        self.start(settings())
        client, local = self.both()
        rng = random.Random(3)
        tokens = [1, 15, 16, 17, 31, 32, 33, 64, 100, 1024, 4096, 8192]
        for seq, count in enumerate(tokens):
            rows = rng.randbytes(count * TOKEN_BYTES)
            client.call("seq.create", seq=seq, capacity=count)
            client.call("seq.append", rows, seqs=[seq], tokens=count)
            client.send("seq.read", seq=seq)
            self.assertEqual(client.receive()[1], rows, count)
        self.verify(local, len(tokens))

    def test_many_under_way(self) -> None:
        """Small ones in a row without waiting, in writes cut anywhere."""
        self.start(settings())
        client, local = self.both()
        rng = random.Random(5)
        client.call("seq.create", seq=1)
        rows = [rng.randbytes(TOKEN_BYTES) for _ in range(400)]
        line = b'{"jsonrpc":"2.0","id":1,"method":"seq.append","params":{"seqs":[1]},"payload":%d}\n'
        stream = b"".join(line % TOKEN_BYTES + row for row in rows)
        at = 0
        while at < len(stream):
            size = rng.choice((1, 7, 100, 3000, 20000))
            client.stream.sendall(stream[at : at + size])
            at += size
        for number in range(len(rows)):
            self.assertEqual(client.receive()[0]["result"]["lens"], [number + 1])
        client.send("seq.read", seq=1)
        back = client.receive()[1]
        planes = [back[i * len(rows) * 128 : (i + 1) * len(rows) * 128] for i in range(8)]
        for number, row in enumerate(rows):
            found = b"".join(plane[number * 128 : (number + 1) * 128] for plane in planes)
            self.assertEqual(found, row, number)
        self.verify(local, len(rows))

    def test_a_slow_reader(self) -> None:
        """It asks for far more than it reads: others are served, it gets all in the end, every byte."""
        self.start(settings(), 'limits: { output_bytes = "4M"; max_payload_bytes = "16M"; };')
        client, local = self.both()
        rows = random.Random(9).randbytes(1024 * TOKEN_BYTES)
        client.call("seq.create", seq=1, capacity=1024)
        client.call("seq.append", rows, seqs=[1], tokens=1024)
        for _ in range(32):
            client.send("seq.read", seq=1)
        for _ in range(200):
            local.call("server.ping")
        for _ in range(32):
            answer, back = client.receive()
            self.assertIn("result", answer)
            self.assertEqual(back, rows)
        self.assertEqual(client.call("server.ping"), {})

    def test_a_reader_who_never_reads(self) -> None:
        """It is cut off at the marks, as without TLS, and its memory comes back."""
        self.start(settings(), 'limits: { output_bytes = "64K"; max_payload_bytes = "8M"; };')
        client, local = self.both()
        client.call("seq.create", seq=1, on_disconnect="free")
        rows = bytes(1024 * TOKEN_BYTES)
        client.call("seq.append", rows, seqs=[1], tokens=1024)
        for _ in range(16):
            client.send("seq.read", seq=1)
        local.call("server.ping")
        client.close()
        while local.call("server.stats")["memory"]["staging_bytes"] > 0:
            pass
        while local.call("server.stats")["sequences"]["live"] > 0:
            pass

    def test_the_end(self) -> None:
        """A draining daemon answers what is under way and ends the stream as TLS asks."""
        self.start(settings())
        client, local = self.both()
        client.call("seq.create", seq=1)
        client.send("seq.append", bytes(TOKEN_BYTES), seqs=[1])
        local.call("admin.drain")
        self.assertEqual(client.receive()[0]["result"]["lens"], [1])
        self.assertEqual(client.stream.recv(1), b"")  # a close without notice would raise
        self.assertEqual(self.daemon.process.wait(60), 0)

    def test_half_closed(self) -> None:
        """Who says that no more comes (close_notify) still gets its answers, and the end as TLS asks."""
        self.start(settings())
        bios = ssl.MemoryBIO(), ssl.MemoryBIO()
        made = context(None).wrap_bio(*bios, server_hostname="a")
        with self.daemon.plain() as stream:
            got, notified = b"", False
            lines = b'{"jsonrpc":"2.0","id":1,"method":"auth","params":{"token":"%s"}}\n' % TOKEN.encode()
            step = made.do_handshake
            while True:
                try:
                    result = step()
                    if step == made.do_handshake:
                        made.write(lines + b'{"jsonrpc":"2.0","id":2,"method":"server.ping"}\n')
                        stream.sendall(bios[1].read())
                        self.shut(made)
                        notified = True
                        step = lambda: made.read(4096)
                    else:
                        got += result
                        if result == b"":
                            break
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLZeroReturnError:
                    break
                stream.sendall(bios[1].read())
                if not (piece := stream.recv(65536)):
                    break
                bios[0].write(piece)
        self.assertTrue(notified)
        self.assertEqual(got.count(b'"result":{}'), 2, got)

    def shut(self, made: ssl.SSLObject) -> None:
        with self.assertRaises(ssl.SSLWantReadError):
            made.unwrap()


class Start(unittest.TestCase):
    """What the daemon refuses to start with, and how it says so."""

    def refuse(self, auth: str, code: int, *what: str) -> None:
        config = FOLDER / "truekvd.conf"
        model = " ".join(f"{name} = {value};" for name, value in MODEL.items())
        config.write_text(f'models = ( {{ name = "m"; dtype = "f16"; {model} }} );\nauth: {{ {auth} }};\n')
        words = [TRUEKVD, "--config", str(config), "--listen", f"unix:{FOLDER}/s", "--backend", "cpu"]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=60)
        self.assertEqual(ended.returncode, code, ended.stderr)
        for text in what:
            self.assertIn(text, ended.stderr)

    def test_pairs(self) -> None:
        certificate, key = SIGNED["server"]
        self.refuse(f'tls_certificate = "{certificate}";', 2, ":2: auth.tls_certificate:", "both")
        self.refuse(f'tls_key = "{key}";', 2, ":2: auth.tls_key:", "both")
        self.refuse(f'tls_client_ca = "{certificate}";', 2, ":2: auth.tls_client_ca:", "both")
        wrong = f'tls_certificate = "{certificate}"; tls_key = "{SIGNED["client"][1]}";'
        self.refuse(wrong, 2, "auth.tls_key: ", "mismatch")

    def test_files(self) -> None:
        certificate, key = SIGNED["server"]
        empty = FOLDER / "empty"
        empty.write_text("")
        empty.chmod(0o600)
        self.refuse(f'tls_certificate = "{empty}"; tls_key = "{key}";', 2, "auth.tls_certificate: ")
        self.refuse(f'tls_certificate = "{certificate}"; tls_key = "{empty}";', 2, "auth.tls_key: ")
        self.refuse(f'tls_certificate = "{certificate}"; tls_key = "/none";', 2, "No such file")
        self.refuse(settings(more=f'tls_client_ca = "{empty}";'), 2, "auth.tls_client_ca: ")

    def test_keys_that_others_read(self) -> None:
        certificate, key = SIGNED["server"]
        for mode in (0o604, 0o660, 0o644):
            loose = FOLDER / "loose.key"
            shutil.copy(key, loose)
            loose.chmod(mode)
            self.refuse(f'tls_certificate = "{certificate}"; tls_key = "{loose}";', 2,
                        "auth.tls_key: ", "chmod 0640 or less")  # fmt: skip

    def test_keys_with_a_password(self) -> None:
        certificate, key = SIGNED["server"]
        locked = FOLDER / "locked.key"
        words = ["openssl", "ec", "-in", str(key), "-aes128", "-passout", "pass:x", "-out", str(locked)]
        subprocess.run(words, check=True, capture_output=True)
        locked.chmod(0o600)
        self.refuse(f'tls_certificate = "{certificate}"; tls_key = "{locked}";', 2, "auth.tls_key: ")


if __name__ == "__main__":
    unittest.main()
