"""deploy/grafana/truekv.json asks for what a real truekvd has, in PromQL that promtool reads."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fixture import ROOT, Daemon

DASHBOARD = ROOT / "deploy/grafana/truekv.json"
PROMTOOL = Path(os.environ.get("PROMTOOL", ROOT / "build/tools/promtool"))
GIVEN_BY_PROMETHEUS = {"instance"}
SELECTOR = re.compile(r"\b(truekv_\w+)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"\bby \(([^)]*)\)")


def labels_of(page: str) -> dict[str, dict[str, set[str]]]:
    """Of each metric: its labels, and the values that they have."""
    found: dict[str, dict[str, set[str]]] = {}
    for line in page.splitlines():
        match = re.match(r"(\w+)(?:\{(.*)\})? ", line)
        if match is None or line.startswith("#"):
            continue
        labels = found.setdefault(match[1], {})
        for name, value in re.findall(r'(\w+)="([^"]*)"', match[2] or ""):
            labels.setdefault(name, set()).add(value)
    return found


class Grafana(unittest.TestCase):
    dashboard: dict[str, Any]
    metrics: dict[str, dict[str, set[str]]]

    @classmethod
    def setUpClass(cls) -> None:
        cls.dashboard = json.loads(DASHBOARD.read_text())
        daemon = Daemon("")
        cls.addClassCleanup(daemon.close)
        daemon.append(sequences=3, times=4)
        daemon.call_error("seq.info", {"seq": 99})
        cls.metrics = labels_of(daemon.get("/metrics")[2])

    def expressions(self) -> Iterator[tuple[str, str, str]]:
        """Whose, the expression, and what the legend is made of."""
        for panel in self.dashboard["panels"]:
            for target in panel.get("targets", []):
                yield panel["title"], target["expr"], target["legendFormat"]
        for one in self.dashboard["annotations"]["list"]:
            yield one["name"], one["expr"], one["titleFormat"]

    def test_has_what_grafana_needs(self) -> None:
        panels = self.dashboard["panels"]
        self.assertGreater(len(panels), 20)
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        places = [panel["gridPos"] for panel in panels]
        cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"])
                 for y in range(p["y"], p["y"] + p["h"])]  # fmt: skip
        self.assertEqual(len(set(cells)), len(cells), "panels lie on each other")
        self.assertLess(max(x for x, _ in cells), 24)
        variables = {one["name"] for one in self.dashboard["templating"]["list"]}
        used = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text())) - {"__rate_interval", "__all"}
        self.assertEqual(used, variables)

    def test_metrics_and_labels_exist(self) -> None:
        for title, expr, _ in self.expressions():
            selectors = SELECTOR.findall(expr)
            self.assertTrue(selectors, title)
            for metric, matchers in selectors:
                self.assertIn(metric, self.metrics, title)
                for name, operator, value in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', matchers):
                    known = self.metrics[metric].get(name, set())
                    self.assertTrue(known or name in GIVEN_BY_PROMETHEUS, (title, metric, name))
                    if operator != "=~":
                        self.assertIn(value, known, (title, metric, name))

    def test_legends_and_groups_are_of_labels_that_exist(self) -> None:
        for title, expr, legend in self.expressions():
            metrics = [metric for metric, _ in SELECTOR.findall(expr)]
            known = GIVEN_BY_PROMETHEUS.union(*(self.metrics[metric] for metric in metrics))
            grouped = {name.strip() for by in GROUPED.findall(expr) for name in by.split(",")}
            self.assertLessEqual(grouped, known, title)
            shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
            kept = grouped if re.search(r"\b(sum|min|max)\b", expr) else known
            self.assertLessEqual(shown, kept, title)

    def test_promtool_reads_every_expression(self) -> None:
        self.assertTrue(os.access(PROMTOOL, os.X_OK), f"no {PROMTOOL}: ./dev test gets it")
        rules = [{"record": f"r{i}", "expr": expr.replace("$__rate_interval", "1m")}
                 for i, (_, expr, _) in enumerate(self.expressions())]  # fmt: skip
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)  # JSON is YAML
            file.flush()
            done = subprocess.run([str(PROMTOOL), "check", "rules", file.name],
                                  capture_output=True, text=True)  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"{len(rules)} rules found", done.stdout)


if __name__ == "__main__":
    unittest.main()
