"""Gives tests a server that accepts connections and never answers, as a stuck machine does."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def frozen_server(path: Path) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        # The kernel completes connections by itself; this process never accepts them.
        server.listen(64)
        yield path
