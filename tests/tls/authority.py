"""Certificates for a test, made by the program openssl: an authority, and what it signs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SERIAL_BYTES = 8


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


class Authority:
    """Signs certificates; its own is `certificate`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.certificate, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-subj", f"/CN={name}", "-days", "2", "-addext", "keyUsage=critical,keyCertSign",
                 "-keyout", str(self.key), "-out", str(self.certificate))  # fmt: skip

    def sign(self, name: str, days: str = "2") -> tuple[Path, Path]:
        """Certificate and key of `name`, for 127.0.0.1 and localhost. days "-1": it has expired."""
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                 f"/CN={name}", "-keyout", str(key), "-out", str(request))  # fmt: skip
        _openssl("x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey",
                 str(self.key), "-set_serial", "0x" + os.urandom(SERIAL_BYTES).hex(), "-days",
                 days, "-extfile", str(extensions), "-out", str(certificate))  # fmt: skip
        key.chmod(0o600)
        return certificate, key


def sign_all(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Certificate and key of all that these tests know: two authorities, and what each has signed."""
    ours, theirs = Authority(folder, "ours"), Authority(folder, "theirs")
    return {
        "ours": (ours.certificate, ours.key),
        "theirs": (theirs.certificate, theirs.key),
        "server": ours.sign("server"),
        "client": ours.sign("client"),
        "stranger": theirs.sign("stranger"),
        "old server": ours.sign("old-server", "-1"),
        "old client": ours.sign("old-client", "-1"),
    }
