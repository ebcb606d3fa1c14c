"""What both demos must find: verification is silent while all is well, and names the fault."""

from __future__ import annotations

from pathlib import Path

import truekv

from demo import report
from demo.screen import Screen

FAULT = "shared_pointers"


class Failed(Exception):
    """Something that the demo claims does not hold."""


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Failed(otherwise)


def all_well(screen: Screen, kv: truekv.Client) -> None:
    """debug.verify must find nothing, and must have looked."""
    screen.progress("debug.verify …")
    found = kv.verify()
    for text in report.sentences(found):
        screen.say(f"debug.verify: {text}")
    expect(found.ok and not found.divergences, "debug.verify finds faults where there are none")
    expect(found.items_checked > 0, "debug.verify had nothing to check")


def fault_is_named(screen: Screen, kv: truekv.Client, address: str, command: Path | None) -> None:
    """debug.verify must find the fault, and say that rows of the wrong item were written."""
    screen.progress("debug.verify …")
    found = kv.verify()
    if command is None:
        for text in report.sentences(found):
            screen.say(text)
    else:
        code, output = report.by_command(command, address)
        screen.verbatim(output)
        expect(code == 1, f"truekv verify exits with {code}, not with 1")
    expect(not found.ok and found.divergent_items > 0, "debug.verify did not find the fault")
    kinds = {one.kind for one in found.divergences}
    expect(kinds == {"wrong_item"}, f"debug.verify calls the fault {sorted(kinds)}")
