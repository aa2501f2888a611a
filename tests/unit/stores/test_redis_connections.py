"""Tests how names of Redis servers are looked up."""

import asyncio
import socket
import threading
from itertools import count

import pytest

from serve_app.errors import StoreUnavailable
from serve_app.stores.cache import Cache, RedisConfig


def test_a_dns_that_hangs_takes_one_thread_however_many_commands_wait(monkeypatch):
    answers = threading.Event()
    n_asked = count()

    def look_up(*args, **kwargs):
        next(n_asked)
        answers.wait(30)
        raise socket.gaierror("unknown")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    async def scene():
        cache = Cache("redis://cache.shop:6379", RedisConfig(timeout_s=0.01, max_connections=8))
        try:
            for _ in range(5):
                asked = [cache.get_many(["key"]) for _ in range(8)]
                failures = await asyncio.gather(*asked, return_exceptions=True)
                assert {type(failure) for failure in failures} == {StoreUnavailable}
        finally:
            await cache.close()
            answers.set()

    asyncio.run(scene())
    assert next(n_asked) == 1


@pytest.mark.parametrize(("scheme", "named"), [("redis", None), ("rediss", "cache.shop")])
def test_tries_each_address_and_checks_certificates_for_the_name(monkeypatch, scheme, named):
    tried = []

    async def open_connection(host, port, ssl=None, server_hostname=None):
        tried.append((host, port, server_hostname))
        raise OSError("refused")

    def look_up(host, port, *args, **kwargs):
        assert host == "cache.shop"
        return [(socket.AF_INET, None, 0, "", (address, port)) for address in ("10.0.0.1", "::1")]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(asyncio, "open_connection", open_connection)

    async def scene():
        cache = Cache(f"{scheme}://cache.shop:7000", RedisConfig(timeout_s=1.0))
        with pytest.raises(StoreUnavailable, match="ConnectionError"):
            await cache.ping()
        await cache.close()

    asyncio.run(scene())
    assert tried == [("10.0.0.1", 7000, named), ("::1", 7000, named)]
