"""Gives a process a lease on the embedded PostgreSQL and Redis of a home folder.

All processes of the application share the servers, and each of them holds a lease. The servers
start with the first lease. They stop soon after the last one is closed, or its holder is killed.
"""

import json
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from serve_app.embedded.home_folder import HomeFolder
from serve_app.embedded.launch import connect_or_start, make_folders, remaining_s
from serve_app.errors import EmbeddedStoresFailed


@dataclass(frozen=True, slots=True)
class StoreUrls:
    # Not in the representation, which tracebacks show.
    database: str = field(repr=False)
    redis: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Lease:
    """Keeps the embedded stores running while it is open."""

    urls: StoreUrls
    _connection: socket.socket

    def close(self) -> None:
        """Gives up the stores. Closing twice does no harm."""
        # close() alone would leave a thread in wait_lost(), and with it the connection open.
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def wait_lost(self) -> None:
        """Blocks until the keeper has ended or the lease is closed."""
        with suppress(OSError):
            # After its one line of reply the keeper sends nothing, so recv() returns at its end.
            while self._connection.recv(1):
                pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def lease(path: Path, *, start_timeout_s: float = 60) -> Lease:
    """Takes a lease on the embedded stores of a home folder, and starts them if they do not run.

    Any number of processes may call this at once.

    Args:
        path: home folder; created if missing.
        start_timeout_s: longest wait until the servers are ready.

    Raises:
        EmbeddedStoresFailed: the folder cannot be written, or a server did not start in time.
    """
    home = HomeFolder.at(path)
    deadline_s = time.monotonic() + start_timeout_s
    try:
        make_folders(home)
        while (granted := _request(home, deadline_s)) is None:
            pass
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        logs = f"the last lines of {home.log('keeper')} and of the logs beside it"
        reason = f"not ready within {start_timeout_s:g} s; {logs} may say why"
        raise EmbeddedStoresFailed(home.path, reason) from error
    except OSError as error:
        raise EmbeddedStoresFailed(home.path, str(error)) from error
    return granted


def is_kept(path: Path) -> bool:
    """Tells whether the embedded stores of a home folder run, or were killed a moment ago."""
    return HomeFolder.at(path).keeper_socket.exists()


def _request(home: HomeFolder, deadline_s: float) -> Lease | None:
    """Asks the keeper for a lease; ``None`` if it ended instead of answering."""
    with ExitStack() as unless_granted:
        connection = unless_granted.enter_context(connect_or_start(home, deadline_s))
        connection.settimeout(remaining_s(deadline_s))
        try:
            with connection.makefile() as reply:
                line = reply.readline()
        except ConnectionResetError:
            line = ""
        if not line:
            return None
        answer = json.loads(line)
        if "error" in answer:
            raise EmbeddedStoresFailed(home.path, answer["error"])
        # The deadline was for the start. wait_lost() has none.
        connection.settimeout(None)
        unless_granted.pop_all()
        return Lease(StoreUrls(answer["database_url"], answer["redis_url"]), connection)
