"""A server that accepts connections and then says nothing, as one does whose machine is stuck."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def frozen_server(path: Path) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        # The kernel completes connections by itself; nobody ever accepts them.
        server.listen(64)
        yield path
