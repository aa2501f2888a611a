"""The embedded PostgreSQL: its settings, its user, its data folder."""

import os
import shutil
import signal
from pathlib import Path

import psycopg

from serve_app.embedded.places import DATABASE, POSTGRES_PORT, Places
from serve_app.embedded.processes import Account, account_for_postgres, spawn
from serve_app.embedded.servers import POSTGRES, Server, ended, find_program
from serve_app.errors import EmbeddedStoresFailed

_INITDB = (
    "--username=postgres",
    "--auth-local=trust",
    "--auth-host=reject",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)
_POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "port": POSTGRES_PORT,
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "64MB",
    "max_connections": 200,
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def postgres_server(places: Places, lock_fd: int) -> Server:
    """
    Describe the PostgreSQL, and make its data folder if there is none.

    Raises:
        EmbeddedStoresFailed: its binaries are missing, or initdb failed.
    """
    account = account_for_postgres(places)
    program = find_program(places, POSTGRES)
    if account is not None:
        os.chown(places.sockets, account.uid, account.gid)
    if not places.postgres_data.exists():
        make_data_folder(program.with_name("initdb"), places, lock_fd, account)
    settings = _POSTGRES_SETTINGS | {"unix_socket_directories": places.sockets}
    return Server(
        name="PostgreSQL",
        command=[
            program,
            f"-D{places.postgres_data}",
            *(f"--{name}={value}" for name, value in settings.items()),
        ],
        log=places.postgres_log,
        stop_signal=signal.SIGINT,
        account=account,
        is_ready=lambda: _postgres_answers(places),
    )


def make_data_folder(initdb: Path, places: Places, lock_fd: int, account: Account | None) -> None:
    """
    Run initdb. The folder gets its name last, so that a half-made one is never used.

    Raises:
        EmbeddedStoresFailed: initdb failed.
    """
    unfinished = places.postgres_data.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if account is not None:
        os.chown(unfinished, account.uid, account.gid)
    code = spawn(
        [initdb, *_INITDB, f"--pgdata={unfinished}"],
        places=places,
        log=places.postgres_log,
        lock_fd=lock_fd,
        death_signal=signal.SIGKILL,
        account=account,
    ).wait()
    if code != 0:
        raise EmbeddedStoresFailed(places.home, ended("initdb", code, places.postgres_log))
    unfinished.rename(places.postgres_data)


def _postgres_answers(places: Places) -> bool:
    """Also makes the database, which is missing the first time."""
    try:
        with psycopg.connect(places.database_url("postgres"), autocommit=True) as connection:
            found = connection.execute(
                "SELECT FROM pg_database WHERE datname = %s", (DATABASE,)
            ).rowcount
            if not found:
                connection.execute(f"CREATE DATABASE {DATABASE}")
            return True
    except psycopg.OperationalError:
        return False
