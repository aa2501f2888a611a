"""What is read of users and items while serving, and how it is kept in the cache."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from pydantic import Field

from serve_app.domain.interactions import EVENT, NO_EVENTS, Events, Histories, HistoryArchive
from serve_app.domain.scoring.model_features import USER_COLUMNS
from serve_app.domain.settings import Settings
from serve_app.stores.cache import Cache
from serve_app.stores.reading import Kind, Reader
from serve_app.stores.records import ItemRow, ShopReader, UserRow

CACHE_PREFIXES = ("recserve:user:2:", "recserve:item:2:", "recserve:history:2:")
_USER, _ITEM, _HISTORY = CACHE_PREFIXES


class CacheTtls(Settings):
    """
    How long what was read from PostgreSQL is kept in Redis, in seconds.

    Attributes:
        features_s: features of users and metadata of items.
        history_s: what a user did.
        unknown_s: that an id is unknown; short, because it may come at any time.
    """

    features_s: float = Field(default=3_600, gt=0)
    history_s: float = Field(default=600, gt=0)
    unknown_s: float = Field(default=60, gt=0)


def user_reader(cache: Cache, shop: ShopReader, ttls: CacheTtls) -> Reader[UserRow]:
    """Reads the numbers that PostgreSQL keeps of users, columns as ``USER_COLUMNS``."""
    kind = Kind(_USER, lambda row: row.tobytes(), _user_row, ttls.features_s, ttls.unknown_s)
    return Reader(kind, cache, shop.user_features)


def item_reader(cache: Cache, shop: ShopReader, ttls: CacheTtls) -> Reader[ItemRow]:
    """Reads items as they are shown."""
    kind = Kind(_ITEM, _item_bytes, _item_row, ttls.features_s, ttls.unknown_s)
    return Reader(kind, cache, shop.items)


class HistoryReader:
    """Reads what users did; the bundle's archive answers for those whom no store answers for."""

    def __init__(self, cache: Cache, shop: ShopReader, ttls: CacheTtls) -> None:
        kind = Kind(_HISTORY, lambda own: own.tobytes(), _events, ttls.history_s, ttls.unknown_s)
        self._reader = Reader(kind, cache, shop.histories)

    async def read(self, user_ids: Sequence[str], archive: HistoryArchive) -> Histories:
        """One history per user id, in order."""
        found = await self._reader.read(user_ids)
        archived = archive.read(user_ids, stale=True) if found.unanswered else None
        own = [
            archived.of_user(i)
            if archived is not None and user_id in found.unanswered
            else found.values.get(user_id, NO_EVENTS)
            for i, user_id in enumerate(user_ids)
        ]
        return Histories.of(own, [user_id in found.unanswered for user_id in user_ids])


def _user_row(raw: bytes) -> UserRow:
    row = np.frombuffer(raw, np.float64)
    if len(row) != len(USER_COLUMNS):
        raise ValueError(f"{len(row)} numbers, not {len(USER_COLUMNS)}")
    return row


def _events(raw: bytes) -> Events:
    return np.frombuffer(raw, EVENT)


def _item_bytes(row: ItemRow) -> bytes:
    return json.dumps(asdict(row)).encode()


def _item_row(raw: bytes) -> ItemRow:
    try:
        fields = json.loads(raw)
        return ItemRow(**{**fields, "tags": tuple(fields["tags"])})
    except (TypeError, KeyError) as error:
        raise ValueError(f"not an item: {error}") from error
