"""The embedded Redis."""

import signal

import redis

from serve_app.embedded.places import Places
from serve_app.embedded.servers import REDIS, Server, find_program

_REDIS_SETTINGS = {
    "port": 0,
    "unixsocketperm": 700,
    "save": "",
    "appendonly": "no",
    "maxmemory": "256mb",
    "maxmemory-policy": "allkeys-lru",
}


def redis_server(places: Places, lock_fd: int) -> Server:
    """
    Describe the Redis: a cache that keeps nothing on disk.

    Raises:
        EmbeddedStoresFailed: its binary is missing.
    """
    settings = _REDIS_SETTINGS | {"unixsocket": places.redis_socket}
    return Server(
        name="Redis",
        command=[
            find_program(places, REDIS),
            *(word for name, value in settings.items() for word in (f"--{name}", str(value))),
        ],
        log=places.redis_log,
        stop_signal=signal.SIGTERM,
        account=None,
        is_ready=lambda: _redis_answers(places),
    )


def _redis_answers(places: Places) -> bool:
    try:
        with redis.Redis(unix_socket_path=str(places.redis_socket)) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
