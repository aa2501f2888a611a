"""Makes a unit test fail that starts Ray or connects anywhere."""

import socket
from typing import NoReturn

import pytest


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listening on a port stays possible, and so does the socketpair of asyncio."""

    def refuse_ray(*_: object, **__: object) -> NoReturn:
        pytest.fail("a unit test started Ray: move it to tests/graph")

    def refuse_socket(_: socket.socket, address: object) -> NoReturn:
        pytest.fail(f"a unit test connected to {address}: move it to tests/contract")

    monkeypatch.setattr("ray.init", refuse_ray)
    for method in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, method, refuse_socket)
