"""
The keeper: the one process that owns the embedded servers of a home folder.

    python -m serve_app.embedded.keeper DIR

A lease is an open connection to its socket: the kernel closes it even when the holder is killed.
The keeper stops the servers once nobody has held a lease for ``LINGER_S``, and starts a server
again that ended by itself. The servers end with it, also when it is killed, and its lock stays
taken until they have.
"""

import fcntl
import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from serve_app.embedded.places import Places, places
from serve_app.embedded.postgres_server import postgres_server
from serve_app.embedded.redis_server import redis_server
from serve_app.embedded.servers import Server, start
from serve_app.errors import EmbeddedStoresFailed

LINGER_S = 2.0
_TICK_S = 0.5  # also the time between attempts to start a server that does not start
_BACKLOG = 1024

Describe = Callable[[Places, int], Server]

logger = logging.getLogger("recserve.keeper")


class Keeper:
    """
    Serves leases and watches the servers, all from the main thread.

    From one thread, because a server gets its death signal when the thread that started it ends.
    """

    def __init__(self, where: Places, lock_fd: int, listener: socket.socket) -> None:
        self._places = where
        self._lock_fd = lock_fd
        self._listener = listener
        self._running: dict[str, tuple[Server, subprocess.Popen[bytes]]] = {}
        self._leases: set[socket.socket] = set()
        self._reply: dict[str, str] = {}
        self._child_ended = _wake_when_a_child_ends()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._child_ended, selectors.EVENT_READ, self._forget_wake_up)
        self._selector.register(listener, selectors.EVENT_READ, self._grant)

    def run(self) -> None:
        """Return when nobody has held a lease for ``LINGER_S`` and the servers have stopped."""
        try:
            self._start_missing()
            idle_since_s = time.monotonic()
            while self._leases or time.monotonic() - idle_since_s < LINGER_S:
                for key, _ in self._selector.select(_TICK_S):
                    key.data(key.fileobj)
                self._start_missing()
                if self._leases:
                    idle_since_s = time.monotonic()
        finally:
            # The name goes first: who asks from here on waits for the lock and a new keeper.
            self._places.keeper_socket.unlink(missing_ok=True)
            self._listener.close()
            self._stop()

    def _grant(self, listener: socket.socket) -> None:
        lease, _ = listener.accept()
        lease.setblocking(False)
        try:
            lease.sendall(json.dumps(self._reply).encode() + b"\n")
        except OSError as error:
            logger.info("an asker left before it was answered: %s", error)
            lease.close()
            return
        self._leases.add(lease)
        self._selector.register(lease, selectors.EVENT_READ, self._end_lease)

    def _end_lease(self, lease: socket.socket) -> None:
        """A holder never writes, so its socket is readable only when it was closed."""
        self._selector.unregister(lease)
        self._leases.remove(lease)
        lease.close()

    def _forget_wake_up(self, child_ended: socket.socket) -> None:
        child_ended.recv(4096)

    def _start_missing(self) -> None:
        try:
            for describe in (postgres_server, redis_server):
                self._start_if_missing(describe.__name__, describe)
        except EmbeddedStoresFailed as failure:
            self._refuse(failure.reason)
        except OSError as error:
            self._refuse(str(error))
        else:
            where = self._places
            self._reply = {"database_url": where.database_url(), "redis_url": where.redis_url}

    def _refuse(self, reason: str) -> None:
        logger.error("%s", reason)
        self._reply = {"error": reason}

    def _start_if_missing(self, name: str, describe: Describe) -> None:
        ended = self._running.get(name)
        if ended is not None:
            if ended[1].poll() is None:
                return
            logger.warning("%s ended with code %s", ended[0].name, ended[1].returncode)
            del self._running[name]
        server = describe(self._places, self._lock_fd)
        self._running[name] = server, start(server, self._places, self._lock_fd)
        logger.info("%s is ready", server.name)

    def _stop(self) -> None:
        for server, process in self._running.values():
            process.send_signal(server.stop_signal)
        for server, process in self._running.values():
            logger.info("%s stopped with code %s", server.name, process.wait())


def main(home: Path) -> None:
    """
    Become the keeper of a home folder.

    Waits until the keeper before and its servers are gone. Returns to the caller once askers
    can connect; the keeper itself lives on in the background.
    """
    where = places(home)
    with where.keeper_lock.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _remove_traces(where)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(where.keeper_socket))
            listener.listen(_BACKLOG)
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, lambda *_: sys.exit())
                Keeper(where, lock.fileno(), listener).run()


def _remove_traces(where: Places) -> None:
    """
    Remove what a killed keeper's servers left.

    The lock proves that they are gone. PostgreSQL itself would go by the process numbers in these
    files, which after a restart of the machine or container may belong to others.
    """
    for path in where.sockets.iterdir():
        path.unlink()
    (where.postgres_data / "postmaster.pid").unlink(missing_ok=True)


def _wake_when_a_child_ends() -> socket.socket:
    """Make a socket that becomes readable when a child ends."""
    readable, written = socket.socketpair()
    written.setblocking(False)
    signal.set_wakeup_fd(written.detach(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return readable


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s keeper %(process)d %(message)s")
    main(Path(sys.argv[1]))
