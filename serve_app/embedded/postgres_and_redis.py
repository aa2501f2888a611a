"""Describes the embedded PostgreSQL and Redis, and makes the data folder of PostgreSQL.

The Redis is valkey-server, which speaks the protocol of Redis.
"""

import os
import shutil
import signal
from pathlib import Path

import psycopg
import redis

from serve_app.embedded.home_folder import DATABASE, POSTGRES_PORT, HomeFolder
from serve_app.embedded.processes import Account, account_for_postgres, describe_end, spawn
from serve_app.embedded.server_processes import POSTGRES, REDIS, Server, find_program
from serve_app.errors import EmbeddedStoresFailed

# The built-in locale: the order of texts then depends on no library of the machine. An index
# stays valid when the folder moves to another machine.
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
_REDIS_SETTINGS = {
    "port": 0,
    "unixsocketperm": 700,
    "save": "",
    "appendonly": "no",
    # At the limit it drops the least recently used keys: everything in it can be computed again.
    "maxmemory": "256mb",
    "maxmemory-policy": "allkeys-lru",
}


def postgres_server(home: HomeFolder, lock_fd: int) -> Server:
    """Describes the PostgreSQL of a home folder, and makes its data folder if there is none.

    Raises:
        EmbeddedStoresFailed: its programs are missing, or initdb failed.
    """
    account = account_for_postgres(home)
    program = find_program(home, POSTGRES)
    if account is not None:
        os.chown(home.sockets, account.uid, account.gid)
    if not home.postgres_data.exists():
        make_data_folder(program.with_name("initdb"), home, lock_fd, account)
    settings = _POSTGRES_SETTINGS | {"unix_socket_directories": home.sockets}
    options = (f"--{name}={value}" for name, value in settings.items())
    return Server(
        name="PostgreSQL",
        command=[program, f"-D{home.postgres_data}", *options],
        log=home.log("postgres"),
        stop_signal=signal.SIGINT,  # "fast": it ends sessions, where SIGTERM would wait for them
        account=account,
        is_ready=lambda: _postgres_answers(home),
    )


def make_data_folder(initdb: Path, home: HomeFolder, lock_fd: int, account: Account | None) -> None:
    """Runs initdb. The folder gets its name last: a half-made one is never used.

    Raises:
        EmbeddedStoresFailed: initdb failed.
    """
    unfinished = home.postgres_data.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if account is not None:
        os.chown(unfinished, account.uid, account.gid)
    code = spawn(
        [initdb, *_INITDB, f"--pgdata={unfinished}"],
        home=home,
        log=home.log("postgres"),
        lock_fd=lock_fd,
        death_signal=signal.SIGKILL,
        account=account,
    ).wait()
    if code != 0:
        raise EmbeddedStoresFailed(home.path, describe_end("initdb", code, home.log("postgres")))
    unfinished.rename(home.postgres_data)


def _postgres_answers(home: HomeFolder) -> bool:
    """Tells whether it answers, and makes the database, which is missing the first time."""
    try:
        with psycopg.connect(home.database_url("postgres"), autocommit=True) as connection:
            n_databases = connection.execute(
                "SELECT FROM pg_database WHERE datname = %s", (DATABASE,)
            ).rowcount
            if n_databases == 0:
                connection.execute(f"CREATE DATABASE {DATABASE}")
            return True
    except psycopg.OperationalError:
        return False


def redis_server(home: HomeFolder, lock_fd: int) -> Server:
    """Describes the Redis of a folder; raises EmbeddedStoresFailed without its program."""
    settings = _REDIS_SETTINGS | {"unixsocket": home.redis_socket}
    words = (word for name, value in settings.items() for word in (f"--{name}", str(value)))
    return Server(
        name="Redis",
        command=[find_program(home, REDIS), *words],
        log=home.log("redis"),
        stop_signal=signal.SIGTERM,
        account=None,
        is_ready=lambda: _redis_answers(home),
    )


def _redis_answers(home: HomeFolder) -> bool:
    try:
        with redis.Redis(unix_socket_path=str(home.redis_socket)) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
