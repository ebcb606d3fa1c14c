"""Draws the plots of docs/performance.md about the GPU from what bench_gpu has printed:

python3 -m bench.gpu.plots bench/results/DATE-GPU/bench-gpu.txt docs/pictures
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.daemon.plot import Plot, Series, svg

MIB = 1 << 20


def table(text: str, number: str) -> list[list[float]]:
    """The rows of numbers of a table; words and what is missing are NaN."""
    begin = text.index(f"\n{number}. ")
    rows = []
    for line in text[begin:].splitlines()[2:]:
        cells = line.replace("|", " ").split()
        if rows and not cells:
            break
        if cells and cells[0].isdigit():
            rows.append([_number(cell) for cell in cells])
    return rows


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def classic(rows: list[list[float]]) -> Plot:
    """Table 4: M, item, layer, its graph, ours a layer, its graph, ours, with sums, copy, graph."""
    series = [
        Series("copy and launch an item", [(row[0], row[1]) for row in rows]),
        Series("launches a layer", [(row[0], row[2]) for row in rows]),
        Series("one launch", [(row[0], row[6]) for row in rows]),
        Series("a copy", [(row[0], min(row[8], row[9])) for row in rows]),
    ]
    return Plot(
        "A decode step, all layers, K and V",
        "32 layers, 8 heads x 128, f16, rows in device memory; steps back to back",
        "sequences in the step",
        "microseconds a step",
        series,
        log_y=True,
    )


def pinned(rows: list[list[float]]) -> Plot:
    """Table 3, its right half, each step waited for: direct, with sums, upload, with sums, link."""
    ways = (("read by the kernel", 12), ("copied first", 14), ("the copy alone", 15))
    series = [
        Series(name, [(row[1], row[1] * MIB / row[at] / 1e3) for row in rows]) for name, at in ways
    ]
    return Plot(
        "Rows in pinned host memory",
        "32 layers, 8 heads x 128, f16, with checksums; each step waited for",
        "MiB a step",
        "GB/s",
        series,
    )


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    text, folder = Path(sys.argv[1]).read_text(), Path(sys.argv[2])
    plots = {"append-ways": classic(table(text, "4")), "append-pinned": pinned(table(text, "3"))}
    for name, plot in plots.items():
        (folder / f"{name}.svg").write_text(svg(plot))
    return 0


if __name__ == "__main__":
    sys.exit(main())
