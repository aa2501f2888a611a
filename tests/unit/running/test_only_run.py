import os
import subprocess
import sys

import pytest

from serve_app.errors import SettingsInvalid
from serve_app.running.only_run import only_run
from serve_app.running.service_processes import MARKER, service_processes


def test_a_second_run_names_the_first(tmp_path):
    second = only_run(tmp_path, print)
    with (
        only_run(tmp_path, print),
        pytest.raises(SettingsInvalid, match=rf"process {os.getpid()} already serves"),
    ):
        second.__enter__()


def test_runs_again_after_the_first_has_ended(tmp_path):
    for _ in range(2):
        with only_run(tmp_path / "new", print):
            pass


def test_ends_what_a_killed_run_left_and_says_so(tmp_path):
    said = []
    left = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        env={MARKER: str(tmp_path)},
        start_new_session=True,
    )

    with only_run(tmp_path, said.append):
        assert service_processes(tmp_path) == set()

    left.wait(10)

    assert said == ["ending 1 processes that an earlier `recserve run` left"]
