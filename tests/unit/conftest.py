"""Unit tests stand alone: what would start Ray or connect anywhere is an error."""

import socket
from typing import NoReturn

import pytest


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listening on a port of this machine stays possible, and so does asyncio's own socketpair."""

    def refuse_ray(*_: object, **__: object) -> NoReturn:
        pytest.fail("a unit test started Ray: move it to tests/graph")

    def refuse_socket(_: socket.socket, address: object) -> NoReturn:
        pytest.fail(f"a unit test connected to {address}: move it to tests/contract")

    monkeypatch.setattr("ray.init", refuse_ray)
    for method in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, method, refuse_socket)
