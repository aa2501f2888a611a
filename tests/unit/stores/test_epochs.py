"""Tests that only whole values of the present epoch count."""

import asyncio

import pytest

from serve_app.stores.epochs import begin_epoch, read_current_values, with_epoch
from tests.support.in_memory_stores import InMemoryCache


def read(cache: InMemoryCache, *keys: str) -> list[bytes | None]:
    return asyncio.run(read_current_values(cache, keys)).values  # type: ignore[arg-type]


def current_epoch(cache: InMemoryCache) -> bytes:
    return asyncio.run(read_current_values(cache, [])).epoch  # type: ignore[arg-type]


def write(cache: InMemoryCache, values: dict[str, bytes]) -> None:
    asyncio.run(cache.set_many(values, 60))


@pytest.mark.parametrize("epoch", [None, b"", b"e" * 16, b"1", b"e" * 15, b"e" * 17, b"e" * 4_000])
def test_a_value_is_read_as_it_was_written_under_an_epoch_of_any_length(
    epoch: bytes | None,
) -> None:
    cache = InMemoryCache(lambda: 0.0)
    if epoch is not None:
        asyncio.run(begin_epoch(cache, epoch))  # type: ignore[arg-type]
    write(cache, with_epoch(current_epoch(cache), {"a": b"[1]", "b": b""}))

    assert read(cache, "a", "b", "c") == [b"[1]", b"", None]


def test_epochs_that_begin_alike_are_different() -> None:
    cache = InMemoryCache(lambda: 0.0)
    asyncio.run(begin_epoch(cache, b"e" * 16))  # type: ignore[arg-type]
    write(cache, with_epoch(current_epoch(cache), {"a": b"[1]"}))
    for epoch in (b"e", b"e" * 15, b"e" * 17):
        asyncio.run(begin_epoch(cache, epoch))  # type: ignore[arg-type]
        assert read(cache, "a") == [None]


def test_a_damaged_value_counts_as_absent() -> None:
    cache = InMemoryCache(lambda: 0.0)
    [(key, whole)] = with_epoch(current_epoch(cache), {"a": b"0123456789"}).items()
    damages = [whole[:n] for n in range(len(whole))]
    damages += [whole[:n] + b"?" + whole[n + 1 :] for n in range(len(whole))]
    damages += [whole + b"?", whole[:16] + whole[20:]]
    for damaged in damages:
        write(cache, {key: damaged})
        assert read(cache, key) == [None], damaged
