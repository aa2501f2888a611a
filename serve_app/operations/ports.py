"""Whether a TCP port of this machine can be listened on."""

import socket

from serve_app.errors import PortTaken


def is_free(port: int) -> bool:
    """Whether nothing on this machine listens on ``port``, on any IPv4 interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Connections of an earlier run that linger in TIME_WAIT do not count as listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
            # A socket that is bound but not yet listening lets a second one bind, not listen.
            probe.listen(1)
        except OSError:
            return False
        return True


def ensure_free(port: int, purpose: str) -> None:
    """
    Raise unless ``port`` can be listened on.

    Args:
        port: TCP port.
        purpose: what it is needed for, e.g. ``"HTTP"``.

    Raises:
        PortTaken: something listens there already.
    """
    if not is_free(port):
        raise PortTaken(port, purpose)
