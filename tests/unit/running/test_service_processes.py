import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from serve_app.running import service_processes as processes
from serve_app.running.service_processes import (
    MARKER,
    Core,
    is_alive,
    kill_all,
    service_processes,
    wait_until_ended,
)

# A marked process, and one of the same session that lost the marker, as a changed title does.
TWO = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={})
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def marked(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", TWO],
        env={MARKER: str(tmp_path)},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    child = psutil.Process(int(process.stdout.readline()))
    yield psutil.Process(process.pid), child
    # Not by ``kill_all``: a test replaces what it kills with.
    for left in (child, process):
        with suppress(psutil.NoSuchProcess):
            left.kill()
    process.wait()
    process.stdout.close()


def test_finds_marked_processes_and_those_of_their_sessions(tmp_path, marked):
    assert service_processes(tmp_path) == set(marked)


def test_finds_a_process_whose_parent_was_killed_if_it_has_the_marker(tmp_path):
    parent = subprocess.run(
        [
            sys.executable,
            "-c",
            "import subprocess, sys\n"
            "sleep = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
            "print(subprocess.Popen(sleep, start_new_session=True, stdout=2).pid)",
        ],
        env={MARKER: str(tmp_path)},
        stdout=subprocess.PIPE,
        check=True,
    )

    (orphan,) = service_processes(tmp_path)
    assert orphan.pid == int(parent.stdout)
    assert kill_all(tmp_path, deadline_s=10) == set()
    assert not is_alive(orphan)


def test_another_home_folder_is_another_service(tmp_path, marked):
    assert service_processes(tmp_path / "other") == set()


def test_reports_what_cannot_be_killed(tmp_path, marked, monkeypatch):
    monkeypatch.setattr(processes, "_kill", lambda process: None)
    monkeypatch.setattr(processes, "PAUSE_S", 0.01)

    assert kill_all(tmp_path, deadline_s=0.05) == set(marked)


def test_waits_no_longer_than_the_deadline(tmp_path, marked, monkeypatch):
    monkeypatch.setattr(processes, "PAUSE_S", 0.01)
    began_s = time.monotonic()

    wait_until_ended(tmp_path, deadline_s=0.05)

    assert time.monotonic() - began_s < 10


def test_a_core_process_counts_once_it_was_seen_alive(tmp_path, marked, monkeypatch):
    monkeypatch.setattr(processes, "CORE_NAMES", (marked[0].name(),))
    core = Core(tmp_path)
    assert core.ended() == []

    # The test is the parent of one: a zombie counts as ended.
    for process in marked:
        process.kill()

    deadline_s = time.monotonic() + 10
    while not core.ended():
        assert time.monotonic() < deadline_s
