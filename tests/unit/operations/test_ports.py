import socket

import pytest

from serve_app.errors import PortTaken
from serve_app.operations.ports import ensure_free, is_free


@pytest.fixture
def listener():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def test_names_the_port_that_is_taken_and_its_purpose(listener):
    port = listener.getsockname()[1]

    with pytest.raises(PortTaken, match=rf"port {port} \(HTTP\) is in use"):
        ensure_free(port, "HTTP")


def test_counts_a_port_as_free_once_its_listener_has_gone(listener):
    port = listener.getsockname()[1]
    listener.close()

    ensure_free(port, "HTTP")


def test_leaves_a_free_port_free(listener):
    port = listener.getsockname()[1]
    listener.close()

    assert is_free(port)
    assert is_free(port)
