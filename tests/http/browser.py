"""A headless Chromium, driven through the DevTools protocol over a pipe. Python's library alone.

Messages are JSON, each ended by a zero byte: what `--remote-debugging-pipe` reads from descriptor 3
and writes to descriptor 4. One page at a time.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PATIENCE_S = 60.0

# --no-sandbox: CI is root in a container, and the only page that is opened is our own.
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update",
    "--hide-scrollbars", "--mute-audio", "--remote-debugging-pipe", "about:blank",
)  # fmt: skip


class BrowserError(Exception):
    """The browser is gone, is silent for PATIENCE_S, or says no."""


def find() -> str | None:
    """The path of a browser, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _put_descriptors(read_end: int, write_end: int) -> None:
    """In the child: its commands at 3, its answers at 4, wherever the ends were."""
    read_copy, write_copy = os.dup(read_end), os.dup(write_end)
    os.dup2(read_copy, 3)
    os.dup2(write_copy, 4)


class Browser:
    """In a `with` block. `errors`: what the page threw, or the browser refused on its behalf."""

    def __init__(self, program: str) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="tkv-browser-", ignore_cleanup_errors=True)
        command_read, self.commands = os.pipe()
        self.answers, answer_write = os.pipe()
        # Pipes take the lowest free descriptors: 3 and 4 are nothing of subprocess's own.
        self.process = subprocess.Popen(
            [program, f"--user-data-dir={self.folder.name}", *OPTIONS],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            close_fds=False, preexec_fn=lambda: _put_descriptors(command_read, answer_write),
        )  # fmt: skip
        os.close(command_read)
        os.close(answer_write)
        self.buffer = b""
        self.last_id = 0
        self.session: str | None = None
        self.errors: list[str] = []

    def __enter__(self) -> Self:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = session["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        """Asked to end, it takes its children along."""
        self.session = None
        try:
            self.call("Browser.close")
            self.process.wait(PATIENCE_S)
        except (BrowserError, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.commands)
        os.close(self.answers)
        self.folder.cleanup()

    # --- the protocol ---

    def _message(self, until: float) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.answers], [], [], max(0.0, until - time.monotonic()))
            piece = os.read(self.answers, 1 << 20) if ready else b""
            if not piece:
                raise BrowserError("the browser went away" if ready else "the browser is silent")
            self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._note(message)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif message.get("method") == "Log.entryAdded" and params["entry"]["source"] != "network":
            self.errors.append(params["entry"]["text"])

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command, and its result."""
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE_S
        while True:
            answer = self._message(until)
            if answer.get("id") == self.last_id:
                break
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    # --- a page ---

    def open(self, url: str) -> None:
        """Goes there; what the page loads later is not waited for."""
        failed = self.call("Page.navigate", url=url).get("errorText")
        if failed:
            raise BrowserError(f"{url}: {failed}")
        self.wait(f"document.readyState === 'complete' && location.href.startsWith({url!r})")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise's, once it is there."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True,
                           returnByValue=True, userGesture=True)  # fmt: skip
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def wait(self, condition: str) -> Any:
        """Until the expression is true, and then its value."""
        until = time.monotonic() + PATIENCE_S
        while not (value := self.run(condition)):
            if time.monotonic() > until:
                raise BrowserError(f"never true: {condition}\nerrors: {self.errors}")
            time.sleep(0.05)
        return value

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({selector!r}).click()")

    def press(self, key: str) -> None:
        """A key of the keyboard, where the focus is."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """What is to be seen, or the whole page, as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))
