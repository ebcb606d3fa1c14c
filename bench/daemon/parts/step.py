"""Where the time of a decode step goes inside the daemon, by its own histograms (server.stats).

One client, one request in flight, 64 sequences with all layers in each: from the last byte read to
the answer written. The daemon's own share is all of it but the device's.
"""

from __future__ import annotations

from bench.daemon import load, report, server
from bench.daemon.setting import Setting

SEQUENCES = 64
MODEL = server.Model("model", layers=32, heads=8, dim=128, capacity=64)
OWN_P50_US, OWN_P99_US = 25.0, 60.0
TIMES = 10  # the usual seconds: a 99th percentile wants thousands of steps


def measure(setting: Setting) -> report.Part:
    with server.truekvd(setting, server.Config([MODEL])) as daemon:
        what = load.Append(MODEL, SEQUENCES, items=SEQUENCES)
        load.fill(setting, daemon, what)
        load.append(setting, daemon, what, seconds=TIMES * setting.effort.seconds)
        with daemon.connect() as connection:
            steps = connection.call("server.stats")["step"]
    return _report(setting, steps)


def _report(setting: Setting, steps: dict[str, dict[str, float]]) -> report.Part:
    part = report.Part("step", data=steps)
    heads = ["", "p50 us", "p99 us", "max us"]
    rows = [
        [name, *(f"{step[key]:.1f}" for key in ("p50_us", "p99_us", "max_us"))]
        for name, step in steps.items()
    ]
    title = f"A decode step of {SEQUENCES} sequences, {report.size(MODEL.token_bytes * SEQUENCES)}"
    notes = [
        f"{steps['total']['count']:.0f} steps on the {setting.backend} backend, from the last byte "
        "read to the answer.",
        "device: upload and kernel. own: total without it. parse is before the last byte.",
    ]
    part.tables.append(report.Table(title, heads, rows, notes))
    if setting.backend == "cuda":
        own = steps["own"]
        part.verdicts.append(report.at_most("own share, p50", own["p50_us"], OWN_P50_US, "us"))
        part.verdicts.append(report.at_most("own share, p99", own["p99_us"], OWN_P99_US, "us"))
    return part
