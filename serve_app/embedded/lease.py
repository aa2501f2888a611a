"""
PostgreSQL and Redis that come with the package, for whoever has set no URLs of his own.

They run in a home folder and are shared by all processes of the application. Each process holds
a lease; the servers start with the first one and stop soon after the last was closed, or its
holder killed. Who keeps them is in ``keeper.py``.
"""

import json
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from serve_app.embedded.launch import connect_or_start, make_folders, remaining_s
from serve_app.embedded.places import Places, places
from serve_app.errors import EmbeddedStoresFailed


@dataclass(frozen=True, slots=True)
class StoreUrls:
    """Where the two stores are."""

    database: str
    redis: str


@dataclass(frozen=True, slots=True)
class Lease:
    """
    Keeps the embedded stores running while it is open.

    Attributes:
        urls: how to reach them; the same for every lease of a home folder.
    """

    urls: StoreUrls
    _connection: socket.socket

    def close(self) -> None:
        """Give the stores up. Closing twice does no harm."""
        # Closing alone would leave the connection open while somebody waits for its end.
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def wait_lost(self) -> None:
        """Return when the keeper is gone or the lease is closed; blocks until then."""
        with suppress(OSError):
            while self._connection.recv(1):
                """The keeper says nothing after its first line; its end is what is waited for."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def lease(home: Path, *, start_timeout_s: float = 60) -> Lease:
    """
    Take part in the embedded stores of a home folder; start them when nobody has.

    Any number of processes may ask at once.

    Args:
        home: is made when it does not exist.
        start_timeout_s: how long to wait for the servers to be ready.

    Raises:
        EmbeddedStoresFailed: the folder cannot be written, a server did not start, or not in time.
    """
    where = places(home)
    deadline_s = time.monotonic() + start_timeout_s
    try:
        make_folders(where)
        while (granted := _ask(where, deadline_s)) is None:
            pass
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        raise EmbeddedStoresFailed(
            where.home,
            f"not ready within {start_timeout_s:g} s; the last lines of {where.keeper_log} and of"
            " the logs beside it may say why",
        ) from error
    except OSError as error:
        raise EmbeddedStoresFailed(where.home, str(error)) from error
    return granted


def _ask(where: Places, deadline_s: float) -> Lease | None:
    """None when the keeper went away instead of answering: it was about to stop, or killed."""
    with ExitStack() as unless_granted:
        connection = unless_granted.enter_context(connect_or_start(where, deadline_s))
        connection.settimeout(remaining_s(deadline_s))
        try:
            with connection.makefile() as reply:
                line = reply.readline()
        except ConnectionResetError:
            return None
        if not line:
            return None
        answer = json.loads(line)
        if "error" in answer:
            raise EmbeddedStoresFailed(where.home, answer["error"])
        # The deadline was for the start: who holds a lease waits for its end however long it takes.
        connection.settimeout(None)
        unless_granted.pop_all()
        return Lease(StoreUrls(answer["database_url"], answer["redis_url"]), connection)
