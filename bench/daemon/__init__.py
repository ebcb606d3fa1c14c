"""Benchmarks of the daemon as its clients see it: python3 -m bench.daemon --help

Standard library only. `parts` has one module a benchmark, each of which returns a report.Part;
the other modules are what parts share.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
