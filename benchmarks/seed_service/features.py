"""Reads features as JSON from Redis, and missing ones from PostgreSQL."""

import json
from collections.abc import Sequence
from typing import Any

import redis
from psycopg_pool import ConnectionPool

from benchmarks.seed_service.filling import ITEM_KEY, TTL_S, USER_KEY

Features = dict[str, Any]


class FeatureStore:
    """Reads features by id, a dict per user and item."""

    def __init__(self, database: ConnectionPool, cache: redis.Redis) -> None:
        self._database = database
        self._cache = cache

    def user(self, user_id: str) -> Features:
        """Features of a user; empty for an unknown one."""
        cached = self._cache.get(USER_KEY + user_id)
        if cached:
            return _parsed(cached)
        with self._database.connection() as conn:
            row = conn.execute(
                "SELECT features FROM seed_service.users WHERE user_id = %s", (user_id,)
            ).fetchone()
        if row is None:
            return {}
        self._cache.setex(USER_KEY + user_id, TTL_S, row[0])
        return _parsed(row[0])

    def items(self, item_ids: Sequence[str]) -> dict[str, Features]:
        """Features of items: one ``MGET`` for all, one query for the missing ones."""
        cached = self._cache.mget([ITEM_KEY + item_id for item_id in item_ids])
        found = {
            item_id: json.loads(value)
            for item_id, value in zip(item_ids, cached, strict=True)
            if value
        }
        missing = [item_id for item_id in item_ids if item_id not in found]
        if missing:
            found |= self._load(missing)
        return found

    def _load(self, item_ids: Sequence[str]) -> dict[str, Features]:
        query = "SELECT item_id, features FROM seed_service.items WHERE item_id = ANY(%s)"
        with self._database.connection() as conn:
            rows = conn.execute(query, (list(item_ids),)).fetchall()
        pipeline = self._cache.pipeline()
        for item_id, features in rows:
            pipeline.setex(ITEM_KEY + item_id, TTL_S, features)
        pipeline.execute()
        return {item_id: json.loads(features) for item_id, features in rows}


def _parsed(text: bytes | str) -> Features:
    features: Features = json.loads(text)
    return features
