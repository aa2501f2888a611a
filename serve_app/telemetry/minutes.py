"""Where replicas leave what they measured, so that one command can merge it."""

from collections.abc import Sequence

from serve_app.stores.cache import Cache
from serve_app.telemetry.histograms import WINDOW_S, Window

PREFIX = "recserve:window:1:"
TTL_S = 15 * 60.0


async def put_window(cache: Cache, window: Window, replica: str) -> None:
    """
    Leave a replica's minute; replaces what it had left of the same minute.

    Raises:
        StoreUnavailable: no answer.
    """
    await cache.set_many({f"{PREFIX}{window.minute}:{replica}": window.encode()}, TTL_S)


async def read_windows(cache: Cache, now_s: float, n_minutes: int) -> Sequence[Window]:
    """
    What all replicas left of the last whole minutes and of the one that has begun.

    Raises:
        StoreUnavailable: no answer, or something that is no window.
    """
    first = int(now_s) // WINDOW_S - n_minutes
    keys = [key for key in await cache.keys(PREFIX) if _minute_of(key) >= first]
    return [Window.decode(value) for value in await cache.get_many(keys) if value is not None]


def _minute_of(key: str) -> int:
    return int(key.removeprefix(PREFIX).partition(":")[0])
