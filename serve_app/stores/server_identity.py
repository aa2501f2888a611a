"""Reads the identity of a Redis server, which changes with a restart, a failover and a failback."""

import logging
import re
from hashlib import blake2b

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ReadOnlyError, ResponseError

_logger = logging.getLogger("ray.serve.recserve.stores")

IDENTITY_BYTES = 16

_FIELD = re.compile(rb"^(run_id|role|master_replid):(\S+)", re.MULTILINE)


async def read_identity(connection: AbstractConnection) -> bytes | None:
    """``IDENTITY_BYTES`` of the server behind a new connection, ``None`` where INFO is refused.

    ``run_id`` is another after each start: a restarted server may hold old data. ``master_replid``
    is another after each promotion: a server that was primary before may have missed writes since.

    Raises:
        redis.exceptions.ReadOnlyError: it is a replica, which lags behind its primary.
        redis.exceptions.RedisError: no answer.
    """
    # Two commands in one round trip. Redis knows several sections in one command only from 7.0 on,
    # and without a section it sends 6 kB.
    for section in ("server", "replication"):
        await connection.send_command("INFO", section)
    sent, refusal = b"", "no run_id in it"
    for _ in range(2):
        try:
            answer = await connection.read_response()
            sent += answer if isinstance(answer, bytes) else str(answer).encode()
            sent += b"\n"
        except ResponseError as error:
            refusal = type(error).__name__
    identity = identity_of(sent)
    if identity is None:
        _logger.warning("nothing is cached: INFO does not name the Redis server (%s)", refusal)
    return identity


def identity_of(info: bytes) -> bytes | None:
    """The identity in what INFO sent; ``None`` if it holds none.

    Raises:
        redis.exceptions.ReadOnlyError: the server is a replica.
    """
    fields = dict(_FIELD.findall(info))
    if fields.get(b"role", b"master") != b"master":
        raise ReadOnlyError("a replica")
    if b"run_id" not in fields:
        return None
    whole = fields[b"run_id"] + b" " + fields.get(b"master_replid", b"")
    return blake2b(whole, digest_size=IDENTITY_BYTES).digest()
