"""The page of `truekv verify --html`, against a daemon that answers what each test wants.

TRUEKV names the program. Needs nothing but Python's own library.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import tempfile
import threading
import unittest
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

PROGRAM = os.environ["TRUEKV"]
REPORTS = Path(__file__).parent / "reports"
VOID = {"meta", "link"}
HOSTILE = "</pre></title></script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;\x07"


class Page(HTMLParser):
    """Checks that tags nest, and gathers what the tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.report = ""
        self.in_report = False
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.in_report = ("id", "report") in attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> inside {self.open}"
        self.open.pop()
        self.in_report = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.in_report:
            self.report += data


class Daemon:
    """Answers each method with one line, as often as it is asked; what is asked beside with {}."""

    def __init__(self, folder: str, results: dict[str, str]) -> None:
        self.path = os.path.join(folder, "s")
        self.results = {"server.stats": "{}", "server.info": '{"models":[]}',
                        "debug.last": '{"report":null}', **results}  # fmt: skip
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer, peer.makefile("rb") as lines:
                for line in lines:
                    asked = json.loads(line)
                    result = self.results[asked["method"]].strip().encode()
                    peer.sendall(b'{"id":%d,"result":%s}\n' % (asked["id"], result))

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


class PageTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="truekv-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.file = os.path.join(self.folder, "page.html")

    def run_truekv(self, results: dict[str, str], *arguments: str) -> tuple[int, str]:
        daemon = Daemon(self.folder, results)
        try:
            done = subprocess.run([PROGRAM, "-s", f"unix:{daemon.path}", *arguments], text=True,
                                  capture_output=True, check=False, timeout=60)  # fmt: skip
        finally:
            daemon.close()
            os.unlink(daemon.path)
        return done.returncode, done.stdout + done.stderr

    def page_of(self, answer: str, *arguments: str, method: str = "debug.verify") -> Page:
        self.code, self.printed = self.run_truekv(
            {method: answer}, "verify", "--html", self.file, *arguments
        )
        with open(self.file, encoding="utf-8", newline="") as file:
            text = file.read()
        page = Page(text)
        self.assertEqual(page.report, answer)
        self.check_self_contained(text, page)
        return page

    def check_self_contained(self, text: str, page: Page) -> None:
        outside = page.report + page.text
        for word in ("http:", "https:", "//", "@import", "url("):
            self.assertEqual(text.count(word), outside.count(word), f"{word} in the markup")
        self.assertNotIn("script", page.tags)
        self.assertNotIn("img", page.tags)
        for name, value in page.attributes:
            self.assertFalse(name.startswith("on"), name)
            if name in ("href", "src"):
                self.assertEqual(value, "data:,")

    def test_every_report_makes_a_page(self) -> None:
        for file in sorted(REPORTS.glob("*.json")):
            if file.name.startswith(("selftest", "scrub")):
                continue
            with self.subTest(report=file.name):
                answer = file.read_text().strip()
                page = self.page_of(answer)
                found = json.loads(answer)["divergences"]
                checked = json.loads(answer).get("items_checked")
                self.assertEqual(self.code, 1 if found else 0 if checked else 4)
                self.assertIn("FOUND:" if found else "OK" if checked else "NOTHING", page.text)
                self.assertIn("Wrote the page to", self.printed)

    def test_map_is_drawn(self) -> None:
        page = self.page_of((REPORTS / "map.json").read_text().strip())
        self.assertEqual(page.tags.count("svg"), 2 + 1 + 1 + 1)  # K, V, strip; V, strip
        self.assertIn("layer 3, V, head 2: 1 byte", page.text)
        classes = [value for name, value in page.attributes if name == "class"]
        self.assertTrue({"h0", "h1", "h2", "h3", "h4"} <= set(classes))

    def test_ambiguity_is_said(self) -> None:
        page = self.page_of((REPORTS / "ambiguous.json").read_text().strip())
        self.assertIn("sequences 1-3 brought the same rows: which of them it was", page.text)

    def test_hostile_text_stays_text(self) -> None:
        divergence = {"seq": 1, "batch": 2, "layer": 4294967295, "kv": HOSTILE, "kind": HOSTILE,
                      "between": HOSTILE, "detail": {"text": HOSTILE, "layout": HOSTILE},
                      "map": {"heads": [1e300, -1, "x", None, 3], "heads_per_cell": 1e300,
                              "pos": 1e300, "positions": [1] * 100,
                              "positions_per_cell": -3}}  # fmt: skip
        more = dict(divergence, layer=0, kind="wrong_head")
        report: dict[str, Any] = {"ok": False, "divergences": [divergence, more],
                                  "skipped": {HOSTILE: 3}}  # fmt: skip
        page = self.page_of(json.dumps(report))
        self.assertIn("<script>alert(1)</script>", page.text)
        self.assertNotIn("\x07", page.text)

    def test_last(self) -> None:
        report = (REPORTS / "map.json").read_text().strip()
        answer = f'{{"report":{report},"source":"shadow","age_ms":3200}}'
        page = self.page_of(answer, "--last", method="debug.last")
        self.assertIn("Kept from shadow mode, which re-runs batches", page.text)
        self.assertIn("found 3.2 s ago", self.printed)
        self.assertEqual(self.code, 1)

    def test_nothing_kept_is_no_page(self) -> None:
        results = {"debug.last": '{"report":null}'}
        code, printed = self.run_truekv(results, "verify", "--last", "--html", self.file)
        self.assertEqual(code, 0)
        self.assertIn("NOTHING KEPT:", printed)
        self.assertIn("No page was written.", printed)
        self.assertFalse(os.path.exists(self.file))

    def test_whose_report_it_is(self) -> None:
        model = {"name": "m", "n_layers": 6, "n_kv_heads": 4, "head_dim": 64, "dtype": "f16",
                 "capacity": 9}  # fmt: skip
        info = {"version": "9.9", "backend": "cuda", "devices": [{"name": "GPU <1>"}],
                "models": [model], "uptime_s": 60, "healthy": False,
                "unhealthy_because": "a latch"}  # fmt: skip
        stats = {"journal": {"batches": 7, "evicted": 16000}, "shadow": {"missed": 3}}
        answer = (REPORTS / "stray_right.json").read_text().strip()
        self.run_truekv({"debug.verify": answer, "server.info": json.dumps(info),
                         "server.stats": json.dumps(stats)},
                        "verify", "--html", self.file)  # fmt: skip
        page = Page(Path(self.file).read_text())
        for text in ("9.9", "cuda on GPU <1>", "6 layers, 4 K/V heads of 64 f16", "NO: a latch",
                     "batches 7, evicted 16 000", "missed 3", " UTC", socket.gethostname(),
                     "layers 0-5 down"):  # fmt: skip
            self.assertIn(text, page.text)
        self.assertIn(("open", ""), page.attributes)

    def test_json_beside_the_page(self) -> None:
        answer = (REPORTS / "ok.json").read_text().strip()
        self.page_of(answer, "--json")
        self.assertEqual(self.printed, answer + "\n")

    def test_planted_faults_are_told_of(self) -> None:
        answer = (REPORTS / "bit_flip_live.json").read_text().strip()
        results = {"debug.verify": answer, "server.stats": '{"verify":{"faults_injected":2}}'}
        self.run_truekv(results, "verify", "--html", self.file)
        self.assertIn("2 batches of this daemon went through a fault", Path(self.file).read_text())

    def test_a_file_is_replaced_whole(self) -> None:
        link = os.path.join(self.folder, "link.html")
        Path(self.file).write_text("old")
        os.symlink(self.file, link)
        answer = {"debug.verify": (REPORTS / "ok.json").read_text()}
        self.assertEqual(self.run_truekv(answer, "verify", "--html", link)[0], 0)
        self.assertTrue(os.path.islink(link))
        self.assertIn("OK:", Path(self.file).read_text())
        mask = os.umask(0)
        os.umask(mask)
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o666 & ~mask)
        self.assertEqual(sorted(os.listdir(self.folder)), ["link.html", "page.html"])

    def test_files_that_cannot_be_written(self) -> None:
        ok = {"debug.verify": (REPORTS / "ok.json").read_text()}
        bad = {"debug.verify": (REPORTS / "bit_flip_live.json").read_text()}
        for name, why in ((self.folder, "Is a directory"), ("/nonexistent/x", "No such file")):
            with self.subTest(name=name):
                code, printed = self.run_truekv(ok, "verify", "--html", name)
                self.assertEqual(code, 2)
                self.assertIn(f"cannot write {name}: {why}", " ".join(printed.split()))
        code, printed = self.run_truekv(bad, "verify", "--html", "/nonexistent/x")
        self.assertEqual(code, 1)
        self.assertIn("FOUND:", printed)
        self.assertEqual(self.run_truekv(ok, "verify", "--html", "/dev/null")[0], 0)
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))


if __name__ == "__main__":
    unittest.main()
