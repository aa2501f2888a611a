"""Connects to Redis by name: one look-up at a time, and one address after another."""

import asyncio
import socket
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Connection, SSLConnection
from redis.asyncio.connection import BlockingConnectionPool

from serve_app.background import SharedCall

Addresses = SharedCall[list[str]]


def look_up_once(pool: BlockingConnectionPool) -> Addresses | None:
    """Lets the connections of a pool share the look-ups of its host; ``None`` for a socket.

    The client looks its host up in a thread for each connection. A thread waits until DNS gives
    up, so that a hanging DNS would take all threads of the process within seconds.
    """
    kind = _NAMED.get(pool.connection_class)
    if kind is None:
        return None
    host = pool.connection_kwargs.get("host", "localhost")
    port = int(pool.connection_kwargs.get("port", 6379))
    addresses = Addresses(lambda: addresses_of(host, port))
    pool.connection_class = kind
    pool.connection_kwargs["addresses"] = addresses
    return addresses


async def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a host, in DNS's order; raises OSError if it knows none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(place[4][0]) for place in found]


class _Named(Connection):
    def __init__(self, *, addresses: Addresses, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._addresses = addresses
        self._address = self.host

    def _connection_arguments(self) -> Mapping[str, Any]:
        arguments = {**super()._connection_arguments(), "host": self._address}
        # A certificate names the host, not its address.
        return {**arguments, "server_hostname": self.host} if "ssl" in arguments else arguments

    async def _connect(self) -> None:
        async with asyncio.timeout(self.socket_connect_timeout):
            *others, last = await self._addresses.result()
            for self._address in others:
                try:
                    await super()._connect()  # type: ignore[no-untyped-call]
                except OSError:
                    continue
                return
            self._address = last
            await super()._connect()  # type: ignore[no-untyped-call]


class _NamedOverTls(_Named, SSLConnection):
    pass


_NAMED: Mapping[type, type] = {Connection: _Named, SSLConnection: _NamedOverTls}
