"""Gives tests a pooler before PostgreSQL, as PgBouncer is in the mode ``transaction``.

Each transaction of a client goes to the next of two servers. As PgBouncer does by default, it
refuses ``options`` in the first message, and gives the client a key of its own.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_BACKEND_KEY, _READY, _QUERY, _SYNC, _TERMINATE = b"K", b"Z", b"Q", b"S", b"X"
_STARTUP_PARAMETERS = (b"user", b"database", b"client_encoding", b"application_name")


@asynccontextmanager
async def pooler_before(target: str, path: Path) -> AsyncIterator[None]:
    """Listens on the socket ``path`` and passes transactions on to the socket ``target``."""
    server = await asyncio.start_unix_server(
        lambda reader, writer: _serve(target, (reader, writer)), path
    )
    try:
        yield
    finally:
        server.close()


async def _serve(target: str, client: Stream) -> None:
    servers: list[Stream] = []
    try:
        startup = await _startup(client)
        refused = _refused(startup)
        if refused:
            client[1].write(_error(f"unsupported startup parameter: {refused.decode()}"))
            return
        servers += [await asyncio.open_unix_connection(target) for _ in range(2)]
        for number, server in enumerate(servers):
            server[1].write(startup)
            await _pass_answer(server, client if number == 0 else None)
        for server in cycle(servers):
            if not await _pass_question(client, server):
                return
            await _pass_answer(server, client)
    except (asyncio.IncompleteReadError, ConnectionError):
        return
    finally:
        for _, writer in (*servers, client):
            writer.close()


async def _startup(client: Stream) -> bytes:
    while True:
        length = await client[0].readexactly(4)
        message = length + await client[0].readexactly(struct.unpack("!i", length)[0] - 4)
        (version,) = struct.unpack("!i", message[4:8])
        if version == 196_608:
            return message
        client[1].write(b"N")  # A request for TLS.


def _refused(startup: bytes) -> bytes | None:
    names = startup[8:].split(b"\0")[:-2:2]
    return next((name for name in names if name not in _STARTUP_PARAMETERS), None)


def _error(text: str) -> bytes:
    fields = b"SFATAL\0C08P01\0M" + text.encode() + b"\0\0"
    return b"E" + struct.pack("!i", len(fields) + 4) + fields


async def _pass_question(client: Stream, server: Stream) -> bool:
    """Passes messages on up to the end of a transaction; False at the end of the session."""
    while True:
        kind, message = await _message(client)
        if kind == _TERMINATE:
            return False
        server[1].write(message)
        if kind in (_SYNC, _QUERY):
            return True


async def _pass_answer(server: Stream, client: Stream | None) -> None:
    while True:
        kind, message = await _message(server)
        if kind == _BACKEND_KEY:
            message = message[:5] + struct.pack("!ii", 7, 7)
        if client is not None:
            client[1].write(message)
        if kind == _READY:
            return


async def _message(stream: Stream) -> tuple[bytes, bytes]:
    head = await stream[0].readexactly(5)
    body = await stream[0].readexactly(struct.unpack("!i", head[1:])[0] - 4)
    return head[:1], head + body
