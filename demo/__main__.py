"""truekvd, shown on a real language model: python3 -m demo --help"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

import truekv

from demo import ROOT, checks, daemon, live, replay
from demo.screen import Screen


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m demo",
        description="Four jokes of a real language model, its K/V caches in truekvd; then the same "
        "with a broken kernel, and debug.verify says which bug it is. Exits with 1 when anything "
        "that is claimed does not hold.",
    )
    add = parser.add_argument
    add("--daemon", type=Path, default=ROOT / "build/truekvd", metavar="PATH", help="truekvd")
    add("--truekv", type=Path, metavar="PATH", help="the truekv command, to print the report")
    add("--workdir", type=Path, metavar="DIR", help="where the demo makes its temporary folder")
    add("--backend", default="auto", choices=("auto", "cpu", "cuda"), help="truekvd's")
    add("--model", type=Path, metavar="GGUF", help="the model file, if not the package's")
    add("--recorded", action="store_true", help="replay recorded K/V; needs no model")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    for one in (signal.SIGTERM, signal.SIGHUP):  # end as with Ctrl-C: tidily
        signal.signal(one, lambda number, frame: sys.exit(128 + number))
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    screen, start = Screen(), time.monotonic()
    place = daemon.Place(given.daemon, given.backend, given.workdir)
    try:
        if given.recorded:
            replay.show(screen, place, given.truekv)
        else:
            live.show(screen, live.find_model(given.model), place, given.truekv)
    except (checks.Failed, daemon.DaemonFailed, truekv.TruekvError, OSError) as error:
        screen.title(f"FAILED: {error}")
        return 1
    except KeyboardInterrupt:
        screen.title("Interrupted.")
        return 130
    screen.title(f"All of this holds. {time.monotonic() - start:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
