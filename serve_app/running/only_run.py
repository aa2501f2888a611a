"""Lets one `recserve run` at a time serve a home folder, and ends what a killed one left."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from serve_app.errors import SettingsInvalid
from serve_app.running.service_processes import kill_all, service_processes

KILL_DEADLINE_S = 20.0


@contextmanager
def only_run(home: Path, announce: Callable[[str], None]) -> Iterator[None]:
    """Locks the home folder, and ends the processes of an earlier run that was killed.

    Raises:
        SettingsInvalid: another process holds the lock.
    """
    home.mkdir(parents=True, exist_ok=True)
    # The kernel frees the lock when its holder dies, however it dies.
    with (home / "run.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise SettingsInvalid(
                "RECSERVE_HOME",
                f"process {lock.read()} already serves {home}: stop it, or use another folder",
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        _end_leftovers(home, announce)
        yield


def _end_leftovers(home: Path, announce: Callable[[str], None]) -> None:
    if leftovers := service_processes(home):
        announce(f"ending {len(leftovers)} processes that an earlier `recserve run` left")
        kill_all(home, deadline_s=KILL_DEADLINE_S)
