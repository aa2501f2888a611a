"""Adds users to PostgreSQL and Redis that no request asks for."""

import contextlib
from collections.abc import Iterator

import redis

from benchmarks.home import Home
from serve_app.recommending.scoring.model_features import USER_COLUMNS
from serve_app.stores.epochs import STAMP_BYTES, with_stamp
from serve_app.stores.serving_readers import CACHE_PREFIXES

_CHUNK = 10_000
_TTL_S = 3_600
_PREFIX = "more-"

_ADD = """
INSERT INTO user_features (user_id, total_purchases, n_items, n_categories, n_active_days)
SELECT %s || number, 5, 5, 3, 4 FROM generate_series(1, %s) AS number
"""
_REMOVE = "DELETE FROM user_features WHERE user_id LIKE %s"


@contextlib.contextmanager
def more_users(home: Home, n: int) -> Iterator[None]:
    """Keep n more users in the stores inside the ``with`` block."""
    with home.workplace.database() as conn:
        conn.execute(_REMOVE, (f"{_PREFIX}%",))
        conn.execute(_ADD, (_PREFIX, n))
    client = redis.Redis.from_url(home.urls.redis)
    space = f"recserve:{home.bundle().manifest.shop_id}:"
    keys = [f"{space}{CACHE_PREFIXES[0]}{_PREFIX}{number}" for number in range(1, n + 1)]
    row = with_stamp(bytes(STAMP_BYTES), bytes(8 * len(USER_COLUMNS)))
    try:
        for start in range(0, n, _CHUNK):
            pipeline = client.pipeline(transaction=False)
            for key in keys[start : start + _CHUNK]:
                pipeline.set(key, row, ex=_TTL_S)
            pipeline.execute()
        yield
    finally:
        for start in range(0, n, _CHUNK):
            client.unlink(*keys[start : start + _CHUNK])
        client.close()
        with home.workplace.database() as conn:
            conn.execute(_REMOVE, (f"{_PREFIX}%",))
