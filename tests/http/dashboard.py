"""The dashboard in a headless Chromium, served by the real truekvd under a small load.

Nothing is timed: conditions are waited for. Exits with 77, which ctest takes for "skipped", where
there is no Chromium (Ubuntu has it as a snap alone; `./dev test` installs Debian's).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from typing import Any

from bench.daemon.wire import Connection, request, result_of
from browser import PATIENCE_S, Browser, find
from fixture import ROOT, TOKEN_BYTES, Daemon

HOSTILE = "<img src=x onerror=alert(1)> & a 'label'"
SETTINGS = "http: { allow_verify = true; }; debug: { allow_fault_injection = true; };"
SKIPPED = 77
SEQUENCES = 23


def append(client: Connection, seqs: list[int]) -> None:
    """One token to each, of rows that are not alike."""
    rows = os.urandom(TOKEN_BYTES * len(seqs))
    message = json.loads(request("seq.append", seqs=seqs)) | {"payload": len(rows)}
    result_of(client.exchange(json.dumps(message).encode() + b"\n" + rows))


class Load(threading.Thread):
    """A client that appends to two sequences at a time, until the block ends."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__()
        self.client = Connection(Path(daemon.socket))
        self.ended = threading.Event()

    def run(self) -> None:
        seqs = [self.client.call("seq.create", label="load")["seq"] for _ in range(2)]
        while not self.ended.wait(0.005):
            for _ in range(200):
                append(self.client, seqs)
                if self.ended.wait(0.002):
                    return
            for seq in seqs:
                self.client.call("seq.truncate", seq=seq, len=0)

    def __enter__(self) -> Load:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join()
        self.client.close()


class Dashboard(unittest.TestCase):
    browser: Browser

    @classmethod
    def setUpClass(cls) -> None:
        program = find()
        assert program is not None
        cls.browser = cls.enterClassContext(Browser(program))

    def setUp(self) -> None:
        self.browser.errors.clear()
        self.browser.resize(1280, 900)

    def open(self, settings: str = SETTINGS) -> Daemon:
        """A daemon, and its page with the first answers in it."""
        daemon = Daemon(settings)
        self.addCleanup(daemon.close)
        self.addCleanup(lambda: self.assertEqual(self.browser.errors, []))
        self.address = f"http://127.0.0.1:{daemon.port}/"
        self.browser.open(self.address)
        self.wait_live()
        return daemon

    def wait_live(self) -> None:
        self.browser.wait("document.querySelector('#live').textContent.includes('live')")

    def text(self, selector: str) -> str:
        return str(self.browser.run(f"document.querySelector({selector!r}).textContent"))

    def wait_text(self, selector: str, pattern: str) -> str:
        """Until the whole of an element's text is like the pattern."""
        node = f"document.querySelector({selector!r}).textContent"
        condition = f"new RegExp({'^(?:' + pattern + ')$'!r}, 's').test({node})"
        return str(self.browser.wait(f"{condition} && ({node} || ' ')"))

    def visible(self, selector: str) -> bool:
        return bool(self.browser.run(f"document.querySelector({selector!r}).checkVisibility()"))

    def shape(self, chart: str) -> str:
        """What a chart's first line is drawn as."""
        line = f"#chart-{chart} .line"
        return str(self.browser.run(f"document.querySelector({line!r}).getAttribute('d')"))

    # --- load ---

    def test_charts_move(self) -> None:
        daemon = self.open()
        charts = {"appends": r"[1-9].*/s", "bytes": r"[1-9].*B/s", "latency": r"[1-9].*[mµ]?s",
                  "batch": r"2", "memory": r"[1-9].*B", "errors": r"0/s"}  # fmt: skip
        with Load(daemon):
            for chart, value in charts.items():
                self.wait_text(f"#chart-{chart} .value", value)
            for chart in charts:
                before = self.shape(chart)
                self.assertRegex(before, r"^M[\d.]+ [\d.]+(L|h0)", chart)
                node = f"document.querySelector('#chart-{chart} .line')"
                self.browser.wait(f"{node}.getAttribute('d') !== {before!r}")
        self.wait_text("#chart-appends .value", "0/s")
        self.wait_text("#chart-batch .value", "–")  # no batch, no size

    def test_errors_are_counted_by_reason(self) -> None:
        daemon = self.open()
        daemon.call_error("seq.info", {"seq": 99})
        self.wait_text("#chart-errors .note", "since the start: not_found 1")

    def test_a_moment_is_looked_at_by_keyboard(self) -> None:
        self.open()
        self.browser.wait("document.querySelector('#chart-memory .line').getAttribute('d')"
                          ".includes('L')")  # fmt: skip
        plot = "document.querySelector('#chart-memory .plot')"
        self.browser.run(f"{plot}.focus()")
        self.browser.press("ArrowLeft")
        self.wait_text("#moment", r"at \d.*, .* ago")
        self.assertRegex(
            self.browser.run(f"{plot}.getAttribute('aria-valuetext')"), r"^\d+ s ago: live 0 B, "
        )
        self.browser.press("Escape")
        self.wait_text("#moment", "now")

    def test_nothing_is_asked_while_paused(self) -> None:
        self.open()
        self.browser.run(
            "void (window.begun = 0, window.fetch = ((ask) => (path, ...rest) => {"
            " begun += path === '/api/stats'; return ask(path, ...rest); })(window.fetch))"
        )
        self.browser.wait("begun > 0")
        before = self.browser.run("document.querySelector('#pause').click(), begun")
        self.wait_text("#live", ".*paused")
        time.sleep(2.5)
        self.assertEqual(self.browser.run("begun"), before)
        self.browser.click("#pause")
        self.browser.wait(f"begun > {before}")
        self.wait_live()

    # --- sequences ---

    def seqs(self) -> list[list[str]]:
        """The table's rows, as texts."""
        rows: list[list[str]] = self.browser.run(
            "[...document.querySelectorAll('#seqs tr')].filter((row) => !row.hidden)"
            ".map((row) => [...row.cells].map((cell) => cell.textContent))"
        )
        return rows

    def test_table(self) -> None:
        daemon = self.open()
        for seq in range(1, SEQUENCES + 1):
            daemon.client.call("seq.create", seq=seq, label=HOSTILE if seq == 2 else f"chat {seq}")
        append(daemon.client, [1])
        self.wait_text("#range", f"1 to {SEQUENCES} of {SEQUENCES}")
        rows = self.seqs()
        self.assertEqual([row[0] for row in rows], [str(n + 1) for n in range(SEQUENCES)])
        size = daemon.client.call("seq.info", seq=1)["bytes"]
        self.assertEqual(rows[0][1:4], ["chat 1", "1 / 256", f"{size // 1024} KiB"])
        self.assertEqual(rows[0][5:], ["m", "1"])
        self.assertEqual(rows[1][1], HOSTILE)
        self.assertFalse(self.browser.run("document.querySelector('#seqs img')"))

    def test_pages_are_turned(self) -> None:
        daemon = self.open()
        for seq in range(1, SEQUENCES + 1):
            daemon.client.call("seq.create", seq=seq)
        rows = "document.querySelector('#rows')"
        self.browser.run(f"{rows}.value = '10'; {rows}.dispatchEvent(new Event('change'))")
        for first, last, button in ((1, 10, "next"), (11, 20, "next"), (21, 23, "previous"),
                                    (11, 20, "previous"), (1, 10, "previous")):  # fmt: skip
            self.wait_text("#range", f"{first} to {last} of {SEQUENCES}")
            self.assertEqual([row[0] for row in self.seqs()],
                             [str(n) for n in range(first, last + 1)])  # fmt: skip
            self.browser.click("#" + button)
        self.assertEqual(self.text("#range"), f"1 to 10 of {SEQUENCES}")

    # --- state ---

    def test_health_and_readiness(self) -> None:
        self.open()
        self.wait_text("#healthy", "✓ healthy")
        self.wait_text("#ready", "✓ ready")
        self.wait_text("#what", r"\d+\.\d+\.\d+ · cpu.* · up for .*")

    def test_a_latch_is_said(self) -> None:
        shadow = 'shadow: { sample = 1.0; on_divergence = "latch"; };'
        daemon = self.open(SETTINGS + shadow)
        self.plant(daemon)
        self.wait_text("#ready", "✕ not ready: .*")
        self.assertTrue(self.browser.wait(
            "document.querySelector('#diverged').checkVisibility()"))  # fmt: skip
        self.browser.wait("document.querySelector('#last').checkVisibility()")
        self.browser.click("#last")
        self.wait_text("#verdict", "FOUND: 1 of .*Found by shadow mode, .* ago.*")

    def test_a_dead_daemon_is_said(self) -> None:
        daemon = self.open()
        words = daemon.process.args
        daemon.process.kill()
        daemon.process.wait()
        self.wait_text("#alarm", "The daemon does not answer, since .*: nobody listens .*")
        self.assertTrue(self.visible("#alarm"))
        self.assertFalse(self.visible("#healthy"))
        self.assertIn("no answer", self.text("#live"))
        with open(f"{daemon.folder}/log", "wb") as log:
            daemon.process = subprocess.Popen(words, stderr=log)
        self.wait_live()
        self.assertFalse(self.visible("#alarm"))
        self.wait_text("#healthy", "✓ healthy")

    def test_a_silent_daemon_is_said(self) -> None:
        daemon = self.open()
        daemon.process.send_signal(signal.SIGSTOP)
        self.addCleanup(daemon.process.send_signal, signal.SIGCONT)
        self.wait_text("#alarm", "The daemon does not answer, since .*: nothing came within 5 s.*")
        daemon.process.send_signal(signal.SIGCONT)
        self.wait_live()
        self.assertFalse(self.visible("#alarm"))

    # --- verification ---

    def plant(self, daemon: Daemon, fault: str = "off_by_one") -> None:
        """Layer 1's head 1 goes wrong in the second of two appends."""
        seqs = [daemon.client.call("seq.create")["seq"] for _ in range(2)]
        append(daemon.client, seqs)
        daemon.client.call("debug.inject", fault=fault, layer=1, kv_head=1, last_item=True)
        append(daemon.client, seqs)

    def cells(self, plane: str) -> list[list[str]]:
        """Level and title of each cell of a map."""
        found: list[list[str]] = self.browser.run(
            f"[...document.querySelectorAll('[data-plane={plane}] rect')]"
            ".map((r) => [r.getAttribute('class'), r.textContent])"
        )
        return found

    def test_verify_now_of_right_caches(self) -> None:
        daemon = self.open()
        self.assertEqual(self.text("#checks dd span"), "nothing checked")
        self.wait_text("#verify", "Verify now")
        self.browser.wait("document.querySelector('#verify').checkVisibility()")
        self.browser.click("#verify")
        self.wait_text("#verdict", "NOTHING CHECKED: .*")
        daemon.append(sequences=3, times=4)
        self.browser.click("#verify")
        self.wait_text("#verdict", "OK: 12 items of 4 batches re-run, .* identical.*")
        self.assertFalse(self.browser.run("document.querySelector('#report svg')"))

    def test_verify_now_draws_a_planted_divergence(self) -> None:
        daemon = self.open()
        self.plant(daemon)
        self.browser.wait("document.querySelector('#verify').checkVisibility()")
        self.browser.click("#verify")
        self.wait_text("#verdict", "FOUND: 1 of 4 items of 2 batches re-run differs: "
                       "the batched kernel writes wrong bytes\\..*")  # fmt: skip
        self.assertRegex(self.text("#report h4"), r"^Batch 2: sequence 2's K and V rows of layer 1 "
                         r"stand 1 position too far on \(wrong_position\)\.$")  # fmt: skip
        report = daemon.client.call("debug.verify")
        for plane in ("k", "v"):
            self.check_plane(plane, report)
        strip = [0, 0]
        for one in report["divergences"]:
            if one["between"] == "per_item/batched":
                self.assertEqual((one["map"]["pos"], one["map"]["positions_per_cell"]), (1, 1))
                strip = [a + b for a, b in zip(strip, one["map"]["positions"], strict=True)]
        self.assertEqual([title for _, title in self.cells("strip")],
                         [f"position {i + 1}: {n} bytes" for i, n in enumerate(strip)])  # fmt: skip
        self.assertIn("debug.inject had armed on purpose", self.text("#report"))
        self.assertIn("Do not serve from sequence 2:", self.text("#report"))
        self.wait_text("#checks dd span", "[12] items? differs?")
        self.check_saved(report)

    def check_plane(self, plane: str, report: Any) -> None:
        """Layers down, heads across: all is in layer 1, head 1, and as much as the daemon says."""
        heads = [one["map"]["heads"] for one in report["divergences"]
                 if (one["kv"], one["between"]) == (plane, "per_item/batched")]  # fmt: skip
        self.assertEqual(len(heads), 1)
        self.assertEqual(heads[0][0], 0)
        title = f"layer 1, {plane.upper()}, head 1: {heads[0][1]} bytes"
        self.assertEqual(self.cells(plane.upper()),
                         [["h0", ""], ["h0", ""], ["h0", ""], ["h4", title]])  # fmt: skip

    def test_a_flipped_bit_is_of_k_alone(self) -> None:
        daemon = self.open()
        self.plant(daemon, "bit_flip")
        self.browser.wait("document.querySelector('#verify').checkVisibility()")
        self.browser.click("#verify")
        self.wait_text("#verdict", "FOUND: 1 of 4 items .*: live caches were damaged\\..*")
        self.wait_text("#report h4", "Batch 2: in the live cache, sequence 2's K rows of layer 1 "
                       "have 1 bit flipped \\(bit_flip\\).")  # fmt: skip
        self.assertEqual(self.cells("K")[3], ["h4", "layer 1, K, head 1: 1 byte"])
        self.assertEqual([level for level, _ in self.cells("K")], ["h0", "h0", "h0", "h4"])
        self.assertEqual((self.cells("V"), self.cells("strip")), ([], []))

    def check_saved(self, report: dict[str, Any]) -> None:
        """The file that the page saves is the report, but for how long it took."""
        with tempfile.TemporaryDirectory() as folder:
            self.browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=folder)
            self.browser.click("#save")
            deadline = time.monotonic() + PATIENCE_S
            while not (found := list(Path(folder).glob("truekv-verify-*.json"))):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
            saved = json.loads(found[0].read_text())
        self.assertEqual(saved | {"duration_us": 0}, report | {"duration_us": 0})

    def test_the_newest_batches_alone(self) -> None:
        daemon = self.open()
        daemon.append(sequences=3, times=4)
        self.browser.wait("document.querySelector('#batches').checkVisibility()")
        self.browser.run("document.querySelector('#batches').value = '2'")
        self.browser.click("#verify")
        self.wait_text("#verdict", "OK: 6 items of 2 batches re-run, .*")

    def test_no_button_where_it_is_not_allowed(self) -> None:
        self.open("")
        self.wait_text("#off", ".*switched off.*")
        self.browser.wait("document.querySelector('#off').checkVisibility()")
        self.assertFalse(self.visible("#verify"))

    # --- looks ---

    def test_fits_and_can_be_read(self) -> None:
        daemon = self.open()
        self.plant(daemon)
        self.browser.wait("document.querySelector('#verify').checkVisibility()")
        self.browser.click("#verify")
        self.wait_text("#verdict", "FOUND: .*")
        for width in (360, 1280):
            for dark in (False, True):
                self.browser.resize(width, 800, dark=dark)
                self.assertEqual(self.browser.run("document.documentElement.scrollWidth"), width)
                self.check_contrasts()

    def check_contrasts(self) -> None:
        """Of text 4.5, of lines 3, on the page and on its cards."""
        least = {"fg": 4.5, "dim": 4.5, "good": 4.5, "warn": 4.5, "bad": 4.5,
                 "s1": 3, "s2": 3, "s3": 3, "focus": 3}  # fmt: skip
        for fore, ratio in least.items():
            for back in ("bg", "card"):
                self.assertGreaterEqual(self.contrast(fore, back), ratio, (fore, back))

    def contrast(self, fore: str, back: str) -> float:
        """Of two of the page's colours, as WCAG 2 defines it."""
        light = sorted(self.luminance(name) for name in (fore, back))
        return (light[1] + 0.05) / (light[0] + 0.05)

    def luminance(self, name: str) -> float:
        style = "getComputedStyle(document.documentElement)"
        digits = self.browser.run(f"{style}.getPropertyValue('--{name}')").strip().lstrip("#")
        digits = "".join(d * 2 for d in digits) if len(digits) == 3 else digits
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def test_all_that_is_used_has_a_name(self) -> None:
        self.open()
        self.browser.call("Accessibility.enable")
        nodes = self.browser.call("Accessibility.getFullAXTree")["nodes"]
        self.browser.call("Accessibility.disable")
        used = [node for node in nodes if not node["ignored"] and node["role"]["value"]
                in ("button", "combobox", "slider", "spinbutton", "region", "table")]  # fmt: skip
        roles = [node["role"]["value"] for node in used if node["role"]["value"] != "table"]
        self.assertGreaterEqual(roles.count("slider"), 6)
        for node in used:
            if node["role"]["value"] != "table":
                self.assertTrue(node["name"]["value"], node)

    def test_nothing_comes_from_elsewhere(self) -> None:
        self.open()
        page = (ROOT / "daemon/http/dashboard.html").read_text()
        page = page.replace("http://www.w3.org/2000/svg", "")
        self.assertNotRegex(page, r"https?://|@import|url\(|src=|innerHTML|document\.write|eval\(")
        entries = "performance.getEntriesByType('resource')"
        self.browser.wait(f"{entries}.length > 3")  # the page is live with its first answer
        names: list[str] = self.browser.run(f"{entries}.map((entry) => entry.name)")
        self.assertEqual([name for name in names if not name.startswith(self.address)], [])


if __name__ == "__main__":
    if find() is None:
        print("no Chromium here: skipped")
        sys.exit(SKIPPED)
    unittest.main()
