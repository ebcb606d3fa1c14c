"""Benchmarks of the daemon on a Unix socket: python3 -m bench.daemon --help"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.daemon import ROOT, setting
from bench.daemon.parts import churn, connections, items, listing, rate, sequences, start, step, stream
from bench.daemon.report import Part
from bench.daemon.setting import Failed, Setting

Measure = Callable[[Setting], Part]

PARTS: dict[str, list[Measure]] = {
    "rate": [rate.measure],
    "stream": [stream.measure],
    "scale": [
        sequences.measure,
        connections.measure,
        items.measure,
        listing.measure,
        churn.measure,
    ],
    "churn": [churn.measure],
    "step": [step.measure],
    "start": [start.measure],
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m bench.daemon",
        description="Measures truekvd as its clients see it. Starts its own daemons, and redis "
        "where it is installed. Targets are judged, and missing one is no failure: exits with 1 "
        "only where a program fails or a byte is wrong.",
    )
    add = parser.add_argument
    add("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; absent: all (scale has churn in it)")
    add("--build", type=Path, default=ROOT / "build", metavar="DIR", help="where the programs are")
    add("--backend", default="cpu", choices=("cpu", "cuda"), help="truekvd's")
    add("--quick", action="store_true", help="fewer and shorter rounds: some three minutes in all, and more noise")
    add("--tiny", action="store_true", help="only to see that all of it runs: numbers mean nothing")
    add("--json", type=Path, metavar="FILE", help="everything that was measured")
    add("--plots", type=Path, metavar="DIR", help="draw the plots into it, as SVG")
    add("--init-program", type=Path, metavar="PROGRAM", help="for start: prints a bare device "
        "initialisation's milliseconds")  # fmt: skip
    given = parser.parse_args()
    unknown = [name for name in given.parts if name not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    return given


def main() -> int:
    given = arguments()
    effort = setting.TINY if given.tiny else setting.QUICK if given.quick else setting.FULL
    chosen = Setting(given.build.resolve(), given.backend, effort, given.init_program)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if missing := chosen.missing():
        print(f"bench: build first, there is no {missing[0]}", file=sys.stderr)
        return 2
    setting.allow_files()
    begin = time.monotonic()
    try:
        parts = _run(chosen, given.parts or [one for one in PARTS if one != "churn"])
        _save(given, setting.described(chosen), parts)
    except (Failed, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"Every byte that was looked at is right. {time.monotonic() - begin:.0f} s.")
    return 0


def _run(chosen: Setting, names: list[str]) -> list[Part]:
    """Each part is printed as soon as it is done."""
    for name, value in setting.described(chosen).items():
        print(f"{name + ':':9} {value}")
    parts = []
    for measure in [one for name in names for one in PARTS[name]]:
        part = measure(chosen)
        if not chosen.effort.judged:
            part.verdicts.clear()
        print(f"\n{part.text()}\n", flush=True)
        parts.append(part)
    return parts


def _save(given: argparse.Namespace, machine: dict[str, str], parts: list[Part]) -> None:
    if given.json is not None:
        found = {"machine": machine, "parts": {part.name: part.json() for part in parts}}
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    if given.plots is None:
        return
    given.plots.mkdir(parents=True, exist_ok=True)
    for part in parts:
        for name, text in part.plots.items():
            (given.plots / f"{name}.svg").write_text(text)


if __name__ == "__main__":
    sys.exit(main())
