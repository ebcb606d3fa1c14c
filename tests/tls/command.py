"""The command truekv, and libtruekv in it, against a truekvd with TLS: both the real binaries."""

from __future__ import annotations

import json
import os
import pty
import random
import select
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
from collections.abc import Callable
from pathlib import Path

from authority import sign_all
from fixture import ROOT, TOKEN, TOKEN_BYTES, WAIT_S, Daemon

TRUEKV = os.environ.get("TRUEKV", str(ROOT / "build/truekv"))
FOLDER = Path()
SIGNED: dict[str, tuple[Path, Path]] = {}


def setUpModule() -> None:
    global FOLDER
    FOLDER = Path(tempfile.mkdtemp(prefix="tkv-ca-"))
    (FOLDER / "token").write_text(TOKEN + "\n")
    SIGNED.update(sign_all(FOLDER))


def tearDownModule() -> None:
    shutil.rmtree(FOLDER)


def settings(name: str = "server", more: str = "") -> str:
    certificate, key = SIGNED[name]
    return f'tls_certificate = "{certificate}"; tls_key = "{key}"; {more}'


def environment(**more: str) -> dict[str, str]:
    """Without what a person's shell may say about daemons and colours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRUEKV_")}
    return kept | {"TERM": "xterm", "LC_ALL": "C.UTF-8"} | more


class Case(unittest.TestCase):
    def start(self, auth: str, more: str = "", port: int = 0) -> Daemon:
        self.daemon = daemon = Daemon(auth, more, port)
        self.addCleanup(daemon.close)
        return daemon

    def trust(self, name: str = "ours") -> list[str]:
        return ["--tls-ca", str(SIGNED[name][0])]

    def words(self, *words: str, address: str = "", token: bool = True) -> list[str]:
        to = address or f"tcp:127.0.0.1:{self.daemon.port}"
        return [TRUEKV, "-s", to] + ["--token-file", f"{FOLDER}/token"] * token + list(words)

    def run_it(
        self, *words: str, code: int = 0, says: str = "", address: str = "", token: bool = True, **more: str
    ) -> subprocess.CompletedProcess[bytes]:
        """says: on one of its outputs, however its lines are broken."""
        ended = subprocess.run(self.words(*words, address=address, token=token), capture_output=True,
                               timeout=WAIT_S, env=environment(**more))  # fmt: skip
        said = " ".join((ended.stdout + ended.stderr).decode(errors="replace").split())
        self.assertEqual(ended.returncode, code, said)
        self.assertIn(says, said)
        return ended


class Trust(Case):
    def test_the_right_authority(self) -> None:
        self.start(settings())
        self.run_it(*self.trust(), "ping")
        self.run_it(*self.trust("server"), "ping")  # the daemon's own certificate
        self.run_it("ping", TRUEKV_TLS_CA=str(SIGNED["ours"][0]))
        self.run_it(*self.trust(), "ping", TRUEKV_TLS_CA="/none")
        self.run_it(*self.trust(), "ping", address=f"tcp:localhost:{self.daemon.port}")

    def test_without_a_token(self) -> None:
        self.start(settings())
        self.run_it(*self.trust(), "ping", token=False, code=1, says="--token-file FILE")

    def test_a_wrong_authority(self) -> None:
        self.start(settings())
        ended = self.run_it(*self.trust("theirs"), "ping", code=3, says="certificate verify failed: unable to get")
        self.assertIn(b"The file of --tls-ca must hold", ended.stderr)
        ended = self.run_it(*self.trust("theirs"), "--json", "ping", code=3)
        self.assertEqual(json.loads(ended.stdout)["data"]["reason"], "cannot_connect")
        self.daemon.await_closed("unauthenticated", 2)
        self.assertNotIn(TOKEN, self.daemon.log())

    def test_an_expired_certificate(self) -> None:
        self.start(settings("old server"))
        self.run_it(*self.trust(), "ping", code=3, says="certificate verify failed: certificate has expired The")

    def test_names(self) -> None:
        self.start(settings())
        for name, what in (("other.example", "hostname mismatch"), ("127.0.0.2", "IP address mismatch"),
                           ("server", "hostname mismatch")):  # fmt: skip
            ended = self.run_it(*self.trust(), "--tls-name", name, "ping", code=3, says=what)
            self.assertIn(b"--tls-name NAME", ended.stderr)
        self.run_it(*self.trust(), "--tls-name", "localhost", "ping")
        self.run_it(*self.trust(), "ping", code=3, says="mismatch", TRUEKV_TLS_NAME="x.example")

    def test_certificates_of_clients(self) -> None:
        self.start(settings(more=f'tls_client_ca = "{SIGNED["ours"][0]}";'))

        def own(name: str) -> list[str]:
            certificate, key = SIGNED[name]
            return [*self.trust(), "--tls-certificate", str(certificate), "--tls-key", str(key)]

        self.run_it(*own("client"), "ping")
        whole = FOLDER / "whole.pem"
        whole.write_text(SIGNED["client"][0].read_text() + SIGNED["client"][1].read_text())
        self.run_it(*self.trust(), "--tls-certificate", str(whole), "ping")
        certificate, key = map(str, SIGNED["client"])
        self.run_it(*self.trust(), "ping", TRUEKV_TLS_CERTIFICATE=certificate, TRUEKV_TLS_KEY=key)
        self.run_it(*self.trust(), "ping", code=3, says="The daemon wants a certificate of its clients")
        for name in ("stranger", "old client"):
            self.run_it(*own(name), "ping", code=3, says="does not take this client's certificate")
        self.daemon.await_closed("unauthenticated", 3)

    def test_the_daemon_alone(self) -> None:
        self.start(settings())
        self.run_it("ping", code=3, says="--tls-ca FILE")
        self.run_it("ping", code=3, says="--tls-ca FILE", token=False)

    def test_the_command_alone(self) -> None:
        self.start("deadline_ms = 500;")
        self.run_it(*self.trust(), "ping", code=3, says="auth.tls_certificate")

    def test_command_lines(self) -> None:
        self.start(settings())
        local = f"unix:{self.daemon.folder}/s"
        mine = str(SIGNED["ours"][0])
        self.run_it(*self.trust(), "ping", code=2, says="--tls-ca is for tcp:HOST:PORT", address=local)
        self.run_it("ping", address=local, token=False, TRUEKV_TLS_CA=mine, TRUEKV_TLS_NAME="x")
        self.run_it("--tls-ca", "", "ping", code=2, says="--tls-ca is empty", TRUEKV_TLS_CA=mine)
        self.run_it("--tls-name", "x", "ping", code=2, says="TLS begins with --tls-ca FILE")
        self.run_it(*self.trust(), "--tls-key", mine, "ping", code=2, says="--tls-certificate")
        self.run_it("--tls-ca", "/none", "ping", code=2, says='from "/none": No such file')
        self.run_it(*self.trust(), "--tls-certificate", mine, "ping", code=2, says="client's key")
        self.run_it(*self.trust(), "bench", code=2, says="bench does not speak TLS")
        self.run_it("bench", code=2, says="bench does not speak TLS", TRUEKV_TLS_CA=mine)
        self.run_it("bench", "--requests", "10", address=local, token=False, TRUEKV_TLS_CA=mine)


class Bytes(Case):
    def test_tens_of_megabytes_both_ways(self) -> None:
        """32 MiB in one append, read back in one answer; then verified by the daemon itself."""
        self.start(settings())
        tokens = 32 * 1024
        rows = random.Random(11).randbytes(tokens * TOKEN_BYTES)
        sent, back = FOLDER / "sent", FOLDER / "back"
        sent.write_bytes(rows)
        self.run_it(*self.trust(), "create", "--seq", "1")
        self.run_it(*self.trust(), "append", "--seqs", "1", "--tokens", str(tokens), "--data", str(sent))
        self.run_it(*self.trust(), "read", "1", "--out", str(back))
        self.assertTrue(back.read_bytes() == rows, "what came back is not what was sent")
        local = self.daemon.local()
        self.addCleanup(local.close)
        self.assertTrue(local.call("debug.verify")["ok"])
        self.assertTrue(local.call("debug.scrub")["ok"])

    def test_every_size(self) -> None:
        self.start(settings())
        sent, back = FOLDER / "sent", FOLDER / "back"
        for seq, tokens in enumerate((1, 15, 16, 17, 31, 32, 33, 64, 1023)):
            rows = random.Random(seq).randbytes(tokens * TOKEN_BYTES)
            sent.write_bytes(rows)
            self.run_it(*self.trust(), "create", "--seq", str(seq))
            words = ["append", "--seqs", str(seq), "--tokens", str(tokens), "--data", str(sent)]
            self.run_it(*self.trust(), *words)
            self.run_it(*self.trust(), "read", str(seq), "--out", str(back))
            self.assertTrue(back.read_bytes() == rows, tokens)


class Watching(Case):
    def restart(self) -> None:
        """The daemon ends, and another one takes its place."""
        port = self.daemon.port
        self.daemon.process.terminate()
        self.daemon.process.wait(WAIT_S)
        self.start(settings(), port=port)

    def begin(self, *words: str, output: int) -> subprocess.Popen[bytes]:
        made = subprocess.Popen(self.words(*self.trust(), *words), stdin=output, stdout=output,
                                stderr=subprocess.DEVNULL, env=environment())  # fmt: skip
        self.addCleanup(made.wait, WAIT_S)
        self.addCleanup(made.kill)
        return made

    def test_stats_reconnects(self) -> None:
        self.start(settings())
        with self.begin("--json", "stats", "--watch", "--interval", "0.1", output=subprocess.PIPE) as made:
            assert made.stdout is not None
            events: list[str] = []
            for line in made.stdout:
                event = json.loads(line).get("event", "row")
                if not events:
                    self.restart()
                if not events or event != events[-1]:
                    events.append(event)
                if events[-2:] == ["back", "row"]:
                    break
            self.assertEqual(events, ["row", "lost", "back", "row"])
            made.send_signal(signal.SIGINT)
            made.stdout.read()

    def test_top_reconnects(self) -> None:
        """The picture of a daemon, on a terminal; then of the next one."""
        self.start(settings())
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        made = self.begin("top", "--interval", "0.1", output=theirs)
        os.close(theirs)
        self.await_text(ours, b"sequences")
        self.restart()
        self.await_text(ours, b"connected again")
        os.write(ours, b"q")
        self.assertEqual(made.wait(WAIT_S), 0)

    def await_text(self, terminal: int, text: bytes) -> None:
        shown, deadline = b"", time.monotonic() + WAIT_S
        while text not in shown.lower():
            ready, _, _ = select.select([terminal], [], [], deadline - time.monotonic())
            self.assertTrue(ready, shown[-3000:])
            shown += os.read(terminal, 65536)


class Endings(Case):
    """Peers that are no daemon: one connection each."""

    def listen(self) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.address = f"tcp:127.0.0.1:{listener.getsockname()[1]}"
        return listener

    def test_nobody_shakes_hands(self) -> None:
        self.listen()
        self.run_it(*self.trust(), "--timeout", "0.2", "ping", code=3, token=False, address=self.address,
                    says="did not finish the TLS handshake in time")  # fmt: skip

    def test_a_cut_in_the_handshake(self) -> None:
        listener = self.listen()

        def serve() -> None:
            stream, _ = listener.accept()
            stream.recv(4096)
            stream.close()

        self.beside(serve, "it hung up in the middle of the handshake")

    def test_a_cut_in_an_answer(self) -> None:
        listener = self.listen()
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(*SIGNED["server"])

        def serve() -> None:
            stream = made.wrap_socket(listener.accept()[0], server_side=True)
            stream.recv(4096)
            stream.sendall(b'{"jsonrpc":"2.0","id":1,"result":{')
            stream.close()  # without the notice that TLS wants

        self.beside(serve, "in the middle of an answer: it ended without the notice")

    def beside(self, serve: Callable[[], None], says: str) -> None:
        thread = threading.Thread(target=serve)
        thread.start()
        self.run_it(*self.trust(), "ping", code=3, token=False, address=self.address, says=says)
        thread.join()


if __name__ == "__main__":
    unittest.main()
