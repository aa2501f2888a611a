"""Runs the keeper, the one process that owns the embedded servers of a home folder.

    python -m serve_app.embedded.keeper DIR

A lease is an open connection to the keeper's socket: the kernel closes it even when its holder is
killed. The keeper restarts a server that ended, and stops both servers when no lease has been open
for ``LINGER_S``. The servers end when the keeper ends, even if it is killed. They inherit the
keeper's lock and hold it until they end, so that a new keeper cannot start beside them.
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

from serve_app.embedded.home_folder import HomeFolder
from serve_app.embedded.postgres_and_redis import postgres_server, redis_server
from serve_app.embedded.server_processes import Server, start
from serve_app.errors import EmbeddedStoresFailed

LINGER_S = 2.0  # the next command of a script finds the servers running
_TICK_S = 0.5  # also the pause between attempts to start a server that does not start
_BACKLOG = 1024

Describe = Callable[[HomeFolder, int], Server]

logger = logging.getLogger("recserve.keeper")


class Keeper:
    """Grants leases and watches the servers, all in the main thread.

    A server gets its death signal when the thread that started it ends, not only the process.
    """

    def __init__(self, home: HomeFolder, lock_fd: int, listener: socket.socket) -> None:
        self._home = home
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
        """Grants leases until none was open for ``LINGER_S``, and stops the servers."""
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
            # The socket goes first: later requests start a new keeper, which waits for the lock.
            self._home.keeper_socket.unlink(missing_ok=True)
            self._listener.close()
            self._stop()

    def _grant(self, listener: socket.socket) -> None:
        lease, _ = listener.accept()
        lease.setblocking(False)
        try:
            lease.sendall(json.dumps(self._reply).encode() + b"\n")
        except OSError as error:
            logger.info("a process left before it got its lease: %s", error)
            lease.close()
            return
        self._leases.add(lease)
        self._selector.register(lease, selectors.EVENT_READ, self._end_lease)

    def _end_lease(self, lease: socket.socket) -> None:
        """Ends a lease: holders never write, and their socket is readable only when closed."""
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
            home = self._home
            self._reply = {"database_url": home.database_url(), "redis_url": home.redis_url}

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
        server = describe(self._home, self._lock_fd)
        self._running[name] = server, start(server, self._home, self._lock_fd)
        logger.info("%s is ready", server.name)

    def _stop(self) -> None:
        for server, process in self._running.values():
            process.send_signal(server.stop_signal)
        for server, process in self._running.values():
            logger.info("%s stopped with code %s", server.name, process.wait())


def main(path: Path) -> None:
    """Becomes the keeper of a home folder when the earlier keeper and its servers have ended.

    The fork makes the keeper. The caller's process returns when the socket accepts connections,
    which is how :mod:`~serve_app.embedded.launch` knows that it can connect.
    """
    home = HomeFolder.at(path)
    with home.keeper_lock.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _remove_traces(home)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(home.keeper_socket))
            listener.listen(_BACKLOG)
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, lambda *_: sys.exit())
                Keeper(home, lock.fileno(), listener).run()


def _remove_traces(home: HomeFolder) -> None:
    """Removes the sockets and the process number that the servers of a killed keeper left.

    The lock proves that these servers have ended. PostgreSQL itself would trust the process number
    in its file, which another process may have after a restart of the machine or container.
    """
    for path in home.sockets.iterdir():
        path.unlink()
    (home.postgres_data / "postmaster.pid").unlink(missing_ok=True)


def _wake_when_a_child_ends() -> socket.socket:
    """Makes a socket that becomes readable when a child ends, because signals end no select()."""
    readable, written = socket.socketpair()
    written.setblocking(False)
    signal.set_wakeup_fd(written.detach(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return readable


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s keeper %(process)d %(message)s")
    main(Path(sys.argv[1]))
