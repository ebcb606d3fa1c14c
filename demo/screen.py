"""What the demo shows: titles, sentences, a live line on a terminal, and text in two columns."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest

_QUIET_S = 10.0  # without a terminal, a sign of life that often
_WIDTH_MAX = 110
_RED, _BOLD, _DIM, _PLAIN = "\x1b[31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
MARK = ">> "


class Screen:
    """Writes to standard output; colours and the live line only where that is a terminal."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._spoke = time.monotonic()

    @property
    def width(self) -> int:
        return min(shutil.get_terminal_size().columns, _WIDTH_MAX)

    def title(self, text: str) -> None:
        bold, plain = (_BOLD, _PLAIN) if self._terminal else ("", "")
        self._line(f"\n{bold}{text}{plain}")

    def say(self, text: str = "", indent: str = "  ") -> None:
        for _, line in wrap(text, self.width - len(indent)) or [(0, "")]:
            self._line((indent + line).rstrip())

    def verbatim(self, text: str) -> None:
        self._line(textwrap.indent(text.rstrip(), "  "))

    def progress(self, text: str) -> None:
        """What is going on right now."""
        if self._terminal:
            sys.stdout.write(f"\r\x1b[K  {_DIM}{text[: self.width - 3]}{_PLAIN}")
            sys.stdout.flush()
        elif time.monotonic() - self._spoke > _QUIET_S:
            self._line(f"  … {text}")

    @contextmanager
    def timed(self, text: str) -> Iterator[None]:
        """Says how long it took, when it is done."""
        start = time.monotonic()
        self.progress(f"{text} …")
        yield
        self._line(f"  {text:<{min(56, self.width - 9)}} {time.monotonic() - start:5.1f} s")

    def columns(self, heads: tuple[str, str], left: str, right: str, split: int) -> None:
        """Two texts beside each other; from character `split` on the right one is marked."""
        width = (self.width - 5) // 2
        self._line(f"  {heads[0]:<{width}} | {heads[1]}")
        rows = zip_longest(wrap(left, width), wrap(right, width), fillvalue=(0, ""))
        for (_, a), (start, b) in rows:
            self._line(f"  {a:<{width}} | {self._marked(b, split - start)}".rstrip())

    def _marked(self, line: str, split: int) -> str:
        if not self._terminal or split >= len(line):
            return line
        split = max(split, 0)
        return f"{line[:split]}{_RED}{line[split:]}{_PLAIN}"

    def _line(self, text: str) -> None:
        if self._terminal:
            sys.stdout.write("\r\x1b[K")
        print(text, flush=True)
        self._spoke = time.monotonic()


def wrap(text: str, width: int) -> list[tuple[int, str]]:
    """Lines of at most `width`, each with where it starts in the text."""
    lines, at = [], 0
    for line in textwrap.wrap(text, width, break_on_hyphens=False):
        at = text.index(line, at)
        lines.append((at, line))
        at += len(line)
    return lines


def one_line(text: str) -> str:
    """Text with every run of white space, and what cannot be shown, made a single space."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
