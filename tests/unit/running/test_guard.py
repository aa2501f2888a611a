import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from serve_app.running import guard
from serve_app.running.service_processes import (
    MARKER,
    is_alive,
    kill_all,
    service_processes,
)

ROOT = Path(__file__).parents[3]

# `recserve run` in small: it starts a service and its guard, says their numbers, and waits.
RUN = """
import pathlib, subprocess, sys, time
from serve_app.running.serve_run import Service, _start, _start_guard
home = pathlib.Path(sys.argv[1])
code = "import time; print('up', flush=True); time.sleep(60)"
service = Service([sys.executable, "-c", code], {}, "", home, home / "log", str, str)
with service.log.open("wb") as log:
    child = _start(service, log)
    guard = _start_guard(home, child.pid, log)
while "up" not in service.log.read_text():
    time.sleep(0.01)
print(child.pid, guard.pid, flush=True)
time.sleep(60)
"""


def test_ends_the_service_when_the_command_is_killed(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", RUN, tmp_path], stdout=subprocess.PIPE, cwd=ROOT
    ) as command:
        assert command.stdout is not None
        service, watcher = map(psutil.Process, map(int, command.stdout.readline().split()))
        assert service_processes(tmp_path) == {service}

        command.kill()

    psutil.wait_procs([service, watcher], timeout=30)
    assert not is_alive(service)
    assert not is_alive(watcher)


@pytest.mark.parametrize("ignores", [False, True])
def test_asks_the_service_to_end_before_it_kills(tmp_path, monkeypatch, ignores):
    handler = "signal.SIG_IGN" if ignores else "lambda *_: (os.write(1, b'ends\\n'), os._exit(0))"
    # Not by ``print``: the signal may arrive while ``print`` still writes.
    code = f"import os, signal, time; signal.signal(2, {handler}); print('up', flush=True)"
    monkeypatch.setattr(guard, "GRACE_S", 0.5 if ignores else 20)
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; time.sleep(60)"],
        env={MARKER: str(tmp_path)},
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()

        guard.end_service(tmp_path, process.pid)

        # Its exit code is lost: whoever waits first for a child reads it.
        assert process.stdout.read() == (b"" if ignores else b"ends\n")
        assert service_processes(tmp_path) == set()


def test_ends_nothing_when_the_process_number_is_another_program_by_now(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        guard.end_service(tmp_path, other.pid)

        assert other.poll() is None
        assert kill_all(tmp_path, deadline_s=1) == set()
