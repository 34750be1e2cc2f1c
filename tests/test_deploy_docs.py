"""What docs/deploy.md has for systemd and nginx is understood by them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.pages import ROOT, blocks
from tests.services import free_port

PAGE = ROOT / "docs" / "deploy.md"


def checked(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("warn") == 0, done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_the_unit_is_one(tmp_path: Path) -> None:
    (unit,) = blocks(PAGE, "ini")
    file = tmp_path / "finetag.service"
    file.write_text(unit.replace("/opt/finetag/bin/finetag-serve", "/bin/true"))
    checked("systemd-analyze", "verify", "--man=no", file)


@pytest.mark.skipif(
    shutil.which("nginx") is None or shutil.which("openssl") is None,
    reason="there is no nginx, or no openssl to make a certificate for it",
)
def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    (server,) = blocks(PAGE, "nginx")
    key, certificate = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=search.example.org")
    made = ("openssl", *new, "-keyout", key, "-out", certificate)
    subprocess.run(made, capture_output=True, check=True)
    # Elsewhere than a server that runs, and without its rights.
    for there, here in (
        ("/etc/ssl/finetag", str(tmp_path)),
        ("listen 80;", f"listen 127.0.0.1:{free_port()};"),
        ("listen 443 ", f"listen 127.0.0.1:{free_port()} "),
    ):
        assert there in server
        server = server.replace(there, here)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in kinds)
    file = tmp_path / "nginx.conf"
    file.write_text(
        f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{folders}{server}}}\n"
    )
    checked("nginx", "-t", "-p", tmp_path, "-c", file)
