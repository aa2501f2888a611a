"""Gives tests a Redis of their own, which they may stop, restart, replicate and configure."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from serve_app.embedded.home_folder import HomeFolder
from serve_app.embedded.server_processes import REDIS, find_program


@contextmanager
def redis_of(
    folder: Path, *options: str, set_up: tuple[str, ...] = (), name: str = "own"
) -> Iterator[str]:
    """Yields the URL of a Redis that is started with options, and then gets a command.

    It is killed in the end. What it saved meanwhile, the next one in the folder loads.
    """
    path = folder / f"{name}.sock"
    program = find_program(HomeFolder(folder, folder), REDIS)
    files = ("--dir", folder, "--dbfilename", f"{name}.rdb", "--save", "")
    process = subprocess.Popen(
        [program, "--port", "0", "--unixsocket", path, *files, *options],
        stdout=subprocess.DEVNULL,
    )
    try:
        command(f"unix://{path}", "PING")
        if set_up:
            command(f"unix://{path}", *set_up)
        yield f"unix://{path}"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def command(url: str, *words: str) -> object:
    """Sends one command to a server, and waits for a server that is still starting."""
    with redis.Redis.from_url(url) as client:
        deadline_s = time.monotonic() + 10
        while time.monotonic() < deadline_s:
            with suppress(redis.ConnectionError):
                return client.execute_command(*words)
        raise AssertionError(f"{url} does not answer")
