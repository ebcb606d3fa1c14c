"""deploy/kubernetes/truekv.yaml against what it speaks of: manifest.py TRUEKVD. Its configuration is one that truekvd takes, its
ports, paths, users and times fit the configuration, the container and each other."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
TRUEKVD = sys.argv.pop() if len(sys.argv) > 1 else str(ROOT / "build/truekvd")


class Manifest(unittest.TestCase):
    def setUp(self) -> None:
        text = (ROOT / "deploy/kubernetes/truekv.yaml").read_text()
        kinds: dict[str, Any] = {one["kind"]: one for one in yaml.safe_load_all(text)}
        self.kinds = kinds
        self.config: str = kinds["ConfigMap"]["data"]["truekvd.conf"]
        self.pod = kinds["DaemonSet"]["spec"]["template"]["spec"]
        self.container = self.pod["containers"][0]
        self.containerfile = (ROOT / "deploy/container/Containerfile").read_text()

    def setting(self, name: str) -> str:
        found = re.search(rf"\b{name} = \[?\s*\"?([^\";\]]+)", self.config)
        assert found is not None, name
        return found[1].strip()

    def test_configuration_is_taken(self) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(self.config)
            file.flush()
            words = [TRUEKVD, "--config", file.name, "--check-config"]
            done = subprocess.run(words, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_probes_ask_where_it_listens(self) -> None:
        port = self.container["ports"][0]
        self.assertIn(f"0.0.0.0:{port['containerPort']}", self.config)
        for probe, path in (("livenessProbe", "/healthz"), ("startupProbe", "/healthz"),
                            ("readinessProbe", "/readyz")):  # fmt: skip
            asked = self.container[probe]["httpGet"]
            self.assertEqual((asked["path"], asked["port"]), (path, port["name"]))
        annotations = self.kinds["DaemonSet"]["spec"]["template"]["metadata"]["annotations"]
        self.assertEqual(annotations["prometheus.io/port"], str(port["containerPort"]))
        self.assertIn(f"EXPOSE {port['containerPort']}", self.containerfile)
        service = self.kinds["Service"]["spec"]
        self.assertEqual(service["ports"][0]["targetPort"], port["name"])
        labels = self.kinds["DaemonSet"]["spec"]["template"]["metadata"]["labels"]
        self.assertLessEqual(service["selector"].items(), labels.items())
        allowed = self.kinds["NetworkPolicy"]["spec"]["ingress"][0]["ports"][0]["port"]
        self.assertEqual(allowed, port["containerPort"])

    def test_it_may_finish_what_it_has_accepted(self) -> None:
        patience_s = int(self.setting("drain_ms")) / 1000
        self.assertGreater(self.pod["terminationGracePeriodSeconds"], patience_s)

    def test_mounts_are_what_the_configuration_names(self) -> None:
        mounts = {one["name"]: one["mountPath"] for one in self.container["volumeMounts"]}
        self.assertTrue(self.config.startswith('listen = [ "unix:' + mounts["run"] + "/"))
        self.assertEqual(self.container["args"], ["--config", mounts["config"] + "/truekvd.conf"])
        self.assertEqual({one["name"] for one in self.pod["volumes"]}, set(mounts))
        self.assertEqual(self.kinds["ConfigMap"]["metadata"]["name"], "truekv")

    def test_user_is_the_containers(self) -> None:
        uid = self.pod["securityContext"]["runAsUser"]
        self.assertIn(f"--uid {uid} ", self.containerfile)
        self.assertIn(f"--gid {self.pod['securityContext']['runAsGroup']} ", self.containerfile)
        self.assertIn(str(uid), self.pod["initContainers"][0]["command"])

    def test_it_is_confined(self) -> None:
        for container in (self.container, *self.pod["initContainers"]):
            context = container["securityContext"]
            self.assertFalse(context["allowPrivilegeEscalation"])
            self.assertTrue(context["readOnlyRootFilesystem"])
            self.assertEqual(context["capabilities"]["drop"], ["ALL"])
        self.assertTrue(self.pod["securityContext"]["runAsNonRoot"])
        self.assertFalse(self.pod["automountServiceAccountToken"])


if __name__ == "__main__":
    unittest.main()
