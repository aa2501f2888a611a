"""Writes the features that the seed service reads, as JSON in PostgreSQL and Redis."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import redis

from serve_app.bundles.bundle import Bundle
from serve_app.domain.interactions import Histories
from serve_app.embedded.lease import StoreUrls
from serve_app.recommending.scoring.model_features import ITEM_FEATURES, USER_COLUMNS

TTL_S = 3_600
USER_KEY, ITEM_KEY = "user_features:", "item_features:"

_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS seed_service;
DROP TABLE IF EXISTS seed_service.users, seed_service.items;
CREATE TABLE seed_service.users (user_id text PRIMARY KEY, features text NOT NULL);
CREATE TABLE seed_service.items (item_id text PRIMARY KEY, features text NOT NULL);
"""

_ITEM_NUMBERS = ("price", "created_at", "avg_rating", "num_ratings", "popularity")


def fill_seed(urls: StoreUrls, bundle: Bundle, user_ids: Sequence[str]) -> None:
    """Fill tables with the features of all users and items."""
    with psycopg.connect(urls.database) as conn:
        conn.execute(_SCHEMA)
        columns = _user_columns(conn)
        histories = bundle.fitted.archive.read(user_ids, stale=False)
        for table, rows in (
            ("users", users_of(user_ids, columns, histories)),
            ("items", items_of(bundle)),
        ):
            with conn.cursor().copy(f"COPY seed_service.{table} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)


def warm_seed(urls: StoreUrls) -> None:
    """Fill Redis with the features of all users and items."""
    cache = redis.Redis.from_url(urls.redis)
    with psycopg.connect(urls.database) as conn:
        for prefix, table in ((USER_KEY, "users"), (ITEM_KEY, "items")):
            pipeline = cache.pipeline(transaction=False)
            for key, features in conn.execute(f"SELECT * FROM seed_service.{table}"):
                pipeline.setex(prefix + key, TTL_S, features)
            pipeline.execute()
    cache.close()


def users_of(
    user_ids: Sequence[str], columns: dict[str, Sequence[Any]], histories: Histories
) -> Iterator[tuple[str, str]]:
    """Ids and features as JSON; ``history`` lists row, type, time and value of each event."""
    for i, user_id in enumerate(user_ids):
        events = histories.of_user(i)
        features = dict(zip(USER_COLUMNS, map(_plain, columns[user_id]), strict=True))
        history = [list(map(_plain, (e["row"], e["type"], e["at"], e["value"]))) for e in events]
        yield user_id, json.dumps({**features, "history": history})


def items_of(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """Ids and features as JSON."""
    catalogue = bundle.fitted.catalogue
    tags = catalogue.columns["tags"]
    for row in range(len(catalogue)):
        features = {
            "title": catalogue.titles.at(row),
            "category": catalogue.categories.word(row),
            "tags": tags.words(row),  # type: ignore[union-attr]
            **{name: _plain(catalogue.number(name)[row]) for name in _ITEM_NUMBERS},
            **dict(zip(ITEM_FEATURES, map(_plain, catalogue.features[row]), strict=True)),
        }
        yield catalogue.item_ids.at(row), json.dumps(features)


def _user_columns(conn: "psycopg.Connection[Any]") -> dict[str, Sequence[Any]]:
    times = ("first_at", "last_at", "created_at")
    names = [f"date_part('epoch', {name})" if name in times else name for name in USER_COLUMNS]
    rows = conn.execute(f"SELECT user_id, {', '.join(names)} FROM user_features")
    return {user_id: columns for user_id, *columns in rows}


def _plain(value: Any) -> float | None:
    """Convert NaN to ``None``: JSON has no NaN."""
    number = None if value is None else float(value)
    return None if number is None or math.isnan(number) else number
