"""What a page of seq.list costs, by the number of sequences that are open."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from statistics import median

from bench.daemon import report, server
from bench.daemon.parts.sequences import CONFIG
from bench.daemon.parts.small import MODEL, Point, series
from bench.daemon.plot import Plot, svg
from bench.daemon.setting import Failed, Setting
from bench.daemon.wire import Connection, request, result_of

PAGES = (100, 1000)
_CURSOR = re.compile(rb'"cursor":(\d+)\}\}\n$')


@dataclass(frozen=True)
class Walk:
    """All pages of one walk over all sequences."""

    page_us: list[float]
    entries: int


def measure(setting: Setting) -> report.Part:
    curves: dict[int, list[Point]] = {page: [] for page in PAGES}
    with server.truekvd(setting, CONFIG) as daemon, daemon.connect() as connection:
        made = 0
        for count in setting.effort.sequences:
            made += _create(connection, count - made)
            for page in PAGES:
                walks = [_walk(connection, page) for _ in range(setting.effort.rounds)]
                _check(walks, count)
                curves[page].append(Point(count, [median(one.page_us) for one in walks]))
    return _report(curves)


def _create(connection: Connection, count: int) -> int:
    line = request("seq.create", model=MODEL.name, capacity=MODEL.capacity)
    for _ in range(count):
        result_of(connection.exchange(line))
    return count


def _walk(connection: Connection, page: int) -> Walk:
    """Only what the daemon and the socket take is timed: an answer is looked into afterwards."""
    times: list[float] = []
    entries, cursor = 0, None
    while True:
        more: dict[str, int] = {} if cursor is None else {"cursor": cursor}
        line = request("seq.list", limit=page, **more)
        begin = time.perf_counter()
        answer = connection.exchange(line)
        times.append(1e6 * (time.perf_counter() - begin))
        entries += answer.count(b'{"seq":')
        found = _CURSOR.search(answer)
        if found is None:
            return Walk(times, entries)
        cursor = int(found[1])


def _check(walks: list[Walk], count: int) -> None:
    for walk in walks:
        if walk.entries != count:
            raise Failed(f"seq.list listed {walk.entries} of {count} sequences")


def _report(curves: dict[int, list[Point]]) -> report.Part:
    part = report.Part("listing")
    heads = ["sequences", *(f"us, {page} a page" for page in curves)]
    rows = [
        [report.count(points[0].x), *(f"{one.median:.0f}" for one in points)]
        for points in zip(*curves.values(), strict=True)
    ]
    notes = ["Median page of a walk over all, median of walks."]
    part.tables.append(report.Table("A page of seq.list by sequences open", heads, rows, notes))
    lines = [series(f"{page} entries a page", points) for page, points in curves.items()]
    title = "A page of seq.list by sequences open"
    subtitle = "median page of a walk over all sequences; bars: all walks"
    plot = Plot(title, subtitle, "sequences open", "µs for a page", lines, log_y=True)
    part.plots["list-by-sequences"] = svg(plot)
    part.data = {str(page): [vars(one) for one in points] for page, points in curves.items()}
    return part
