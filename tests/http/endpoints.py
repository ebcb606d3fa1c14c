"""truekvd over HTTP, the real binary: what each address answers, and to whom."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import time
import unittest
from pathlib import Path
from typing import Any

from fixture import ROOT, TRUEKVD, Daemon

PROMTOOL = Path(os.environ.get("PROMTOOL", ROOT / "build/tools/promtool"))


def samples(page: str) -> dict[str, float]:
    """Name and labels, as written, to value."""
    lines = [line for line in page.splitlines() if line and not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


class Endpoints(unittest.TestCase):
    def setUp(self) -> None:
        self.daemon = Daemon("http: { allow_verify = true; }; limits: { device_ms = 600000; };")
        self.addCleanup(self.daemon.close)

    def metrics(self) -> dict[str, float]:
        status, headers, body = self.daemon.get("/metrics")
        self.assertEqual(status, 200)
        self.assertIn("version=0.0.4", headers["content-type"])
        return samples(body)

    def json(self, path: str) -> Any:
        status, headers, body = self.daemon.get(path)
        self.assertEqual((status, headers["content-type"]), (200, "application/json"), body)
        return json.loads(body)

    def test_health_and_readiness(self) -> None:
        for path in ("/healthz", "/readyz"):
            self.assertEqual(self.daemon.get(path)[0::2], (200, "ok\n"))

    def test_pages_fetch_nothing_from_elsewhere(self) -> None:
        status, headers, body = self.daemon.get("/")
        self.assertEqual((status, headers["content-type"]), (200, "text/html; charset=utf-8"))
        self.assertIn("default-src 'none'", headers["content-security-policy"])
        self.assertEqual(headers["cache-control"], "no-store")
        self.assertEqual(headers["x-content-type-options"], "nosniff")
        self.assertEqual(body, (ROOT / "daemon/http/dashboard.html").read_text())

    def test_unknown_pages_and_methods(self) -> None:
        for path in ("/nonsense", "/api", "/api/", "/metrics/", "//"):
            self.assertEqual(self.daemon.get(path)[0], 404, path)
        self.assertEqual(self.daemon.get("/api/verify")[0], 405)
        for method in ("POST", "PUT", "DELETE", "BREW"):
            self.assertEqual(self.daemon.ask(method, "/metrics")[0], 405, method)
        status, headers, body = self.daemon.ask("HEAD", "/healthz")
        self.assertEqual((status, body), (200, ""))

    def test_metrics_count(self) -> None:
        self.daemon.append(sequences=3, times=4)
        self.daemon.call_error("seq.info", {"seq": 99})
        found = self.metrics()
        self.assertEqual(found['truekv_requests_total{method="seq.append",reason="ok"}'], 4)
        self.assertEqual(found['truekv_requests_total{method="seq.info",reason="not_found"}'], 1)
        self.assertEqual(found["truekv_append_items_total"], 12)
        self.assertEqual(found["truekv_append_tokens_total"], 12)
        self.assertEqual(found['truekv_batch_items_bucket{le="3"}'], 4)
        self.assertEqual(found['truekv_batch_items_bucket{le="1"}'], 0)
        self.assertEqual(found["truekv_batch_items_sum"], 12)
        name = "truekv_request_duration_seconds"
        self.assertEqual(found[name + '_count{method="seq.append"}'], 4)
        self.assertEqual(found[name + '_bucket{method="seq.append",le="+Inf"}'], 4)
        self.assertGreater(found[name + '_sum{method="seq.append"}'], 0)
        self.assertEqual(found['truekv_build_info{version="0.1.0",backend="cpu"}'], 1)
        self.assertEqual((found["truekv_healthy"], found["truekv_ready"]), (1, 1))
        deadline = time.monotonic() + 20  # gauges are published by the loop, some times a second
        while self.metrics()['truekv_sequences{state="live"}'] != 3:
            self.assertLess(time.monotonic(), deadline)
        found = self.metrics()
        self.assertGreater(found['truekv_device_bytes{state="live"}'], 0)
        total = sum(found[f'truekv_device_bytes{{state="{s}"}}'] for s in ("live", "free"))
        self.assertEqual(total, found["truekv_memory_budget_bytes"])

    def test_histograms_are_cumulative(self) -> None:
        self.daemon.append(sequences=2, times=50)
        series: dict[str, list[float]] = {}
        for name, value in self.metrics().items():
            if "_bucket{" in name:
                series.setdefault(name.partition('le="')[0], []).append(value)
        self.assertGreater(len(series), 3)
        for name, values in series.items():
            self.assertEqual(values, sorted(values), name)

    def test_promtool_has_no_complaints(self) -> None:
        self.assertTrue(os.access(PROMTOOL, os.X_OK), f"no {PROMTOOL}: ./dev test gets it")
        self.daemon.append(sequences=3, times=4)
        self.daemon.call_error("seq.info", {"seq": 99})
        page = self.daemon.get("/metrics")[2]
        done = subprocess.run(
            [str(PROMTOOL), "check", "metrics"], input=page, capture_output=True, text=True
        )
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_json(self) -> None:
        self.daemon.append(sequences=3, times=2)
        self.assertEqual(self.json("/api/stats")["methods"]["seq.append"]["count"], 2)
        self.assertEqual(self.json("/api/info")["name"], "truekv")
        self.assertEqual(self.json("/api/abilities"), {"verify": True})
        self.assertEqual(self.json("/api/last"), {"report": None})
        self.assertEqual(len(self.json("/api/sequences")["seqs"]), 3)
        page = self.json("/api/sequences?limit=2")
        self.assertEqual(len(page["seqs"]), 2)
        rest = self.json(f"/api/sequences?limit=2&cursor={page['cursor']}")
        self.assertEqual(len(rest["seqs"]), 1)

    def test_queries_are_checked(self) -> None:
        for query in ("limit=x", "limit=", "limit=-1", "limit=1}", "cursor=%22", "limit=" + "9" * 20):
            status, _, body = self.daemon.get("/api/sequences?" + query)
            self.assertEqual(status, 400, query + body)
        self.assertEqual(self.daemon.get("/api/sequences?limit=0")[0], 400)

    def verify(self, body: str, header: str = "verify") -> tuple[int, Any]:
        headers = {"X-Truekv": header} if header else {}
        status, _, answer = self.daemon.ask("POST", "/api/verify", body, headers)
        return status, json.loads(answer)

    def test_verify(self) -> None:
        self.daemon.append(sequences=3, times=2)
        status, report = self.verify("{}")
        self.assertEqual((status, report["ok"], report["items_checked"]), (200, True, 6))
        status, report = self.verify('{"batches": 1}\n')
        self.assertEqual((status, report["batches_checked"]), (200, 1))

    def test_verify_takes_params_and_nothing_else(self) -> None:
        for body in ("", "{", "[]", "7", '{} , "method":"admin.drain"', '{}}\n{"a":1}', "{} {}",
                     '{"batch":1}', '{"batches":"1"}', "{}\0", '{"batches":1,"batches":2}'):  # fmt: skip
            status, answer = self.verify(body)
            self.assertIn(status, (400, 500), f"{body!r}: {answer}")
            self.assertIn("error", answer)
        self.assertEqual(self.verify("{" + " " * 40000 + "}")[0], 413)
        self.assertEqual(self.daemon.get("/readyz")[0], 200)

    def test_verify_wants_its_header(self) -> None:
        for header in ("", "yes"):
            self.assertEqual(self.verify("{}", header)[0], 403)

    def test_silent_clients_do_not_hold_up_health(self) -> None:
        silent = [socket.create_connection(("127.0.0.1", self.daemon.port)) for _ in range(30)]
        for one in silent:
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        self.assertEqual(self.daemon.get("/healthz")[0], 200)
        for one in silent:
            one.close()

    def test_questions_do_not_hold_up_health(self) -> None:
        work = self.daemon.begin_long_work()
        headers = {"X-Truekv": "verify"}
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(self.daemon.ask, "POST", "/api/verify", "{}", headers) for _ in range(20)]
            self.assertEqual(self.daemon.get("/healthz")[0], 200)
            answers = {one.result()[0] for one in asked}
        self.assertLessEqual(answers, {200, 503})
        work.close()

    def test_broken_requests_are_survived(self) -> None:
        for text in (b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                     b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
                     b"POST /api/verify HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
                     b"POST /api/verify HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999\r\n\r\n{",
                     b"POST /api/verify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):  # fmt: skip
            with socket.create_connection(("127.0.0.1", self.daemon.port)) as one:
                one.sendall(text)
                one.shutdown(socket.SHUT_WR)
                one.settimeout(20)
                while one.recv(65536):
                    pass
        self.assertEqual(self.daemon.get("/healthz")[0], 200)

    def test_many_at_once(self) -> None:
        self.daemon.append(sequences=3, times=4)
        paths = ["/metrics", "/api/info", "/api/sequences", "/api/stats", "/healthz"] * 20
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda path: self.daemon.get(path)[0], paths))
        self.assertEqual(set(answers), {200})
        self.assertEqual(self.metrics()["truekv_connections"], 1)  # the inlet's do not count


class Draining(unittest.TestCase):
    """Health and readiness while the daemon comes to its end."""

    def test_readiness_goes_first(self) -> None:
        daemon = Daemon("limits: { drain_ms = 60000; };")
        self.addCleanup(daemon.close)
        work = daemon.begin_long_work()
        daemon.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 20
        while (answer := daemon.get("/readyz"))[0] == 200:
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(answer[0::2], (503, "draining\n"))
        self.assertEqual(daemon.get("/healthz")[0], 200)
        status, _, body = daemon.get("/api/sequences")
        self.assertEqual(status, 503, body)
        self.assertEqual(daemon.process.wait(60), 0)
        work.close()


class Off(unittest.TestCase):
    def test_verify_is_off_by_default(self) -> None:
        daemon = Daemon("")
        self.addCleanup(daemon.close)
        headers = {"X-Truekv": "verify"}
        self.assertEqual(daemon.ask("POST", "/api/verify", "{}", headers)[0], 403)
        self.assertEqual(json.loads(daemon.get("/api/abilities")[2]), {"verify": False})

    def test_an_address_in_use_is_refused(self) -> None:
        daemon = Daemon("")
        self.addCleanup(daemon.close)
        second = subprocess.run(
            [TRUEKVD, "--config", daemon.config, "--listen", f"unix:{daemon.folder}/other"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        self.assertEqual(second.returncode, 1, second.stderr)
        self.assertIn("listen_failed", second.stderr)

    def test_a_unix_socket_serves_too(self) -> None:
        daemon = Daemon('auth: { socket_mode = "0606"; };', unix_http=True)
        self.addCleanup(daemon.close)
        self.assertEqual(os.stat(f"{daemon.folder}/http").st_mode & 0o777, 0o606)
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(f"{daemon.folder}/http")
            one.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            answer = b""
            while piece := one.recv(65536):
                answer += piece
        self.assertTrue(answer.endswith(b"ok\n"), answer)


if __name__ == "__main__":
    unittest.main()
