"""Reads users, items and histories while serving, and defines how they are cached."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import numpy as np
from pydantic import Field

from serve_app.database.json_values import read_json
from serve_app.database.records import ItemRow, UserRow
from serve_app.database.serving_reads import ShopReader
from serve_app.domain.interactions import (
    EVENT,
    NO_EVENTS,
    TYPES,
    Events,
    Histories,
    HistoryArchive,
    are_usable,
    kept_types,
)
from serve_app.domain.settings import Settings
from serve_app.recommending.scoring.model_features import USER_COLUMNS
from serve_app.stores.cache import Cache
from serve_app.stores.cached_reader import CachedKind, CachedReader
from serve_app.stores.epochs import item_epoch, user_epoch

CACHE_PREFIXES = ("user:3:", "item:3:", "history:4:")
_USER, _ITEM, _HISTORY = CACHE_PREFIXES


class CacheTtls(Settings):
    """Seconds for which Redis keeps values that were read from PostgreSQL."""

    features_s: float = Field(
        default=3_600,
        gt=0,
        description="Seconds for which features of users and metadata of items are kept.",
    )
    history_s: float = Field(
        default=600,
        gt=0,
        description="Seconds for which a user's history is kept. Events that another program writes"
        " to PostgreSQL count after that time at the latest; loaded ones count at once.",
    )
    unknown_s: float = Field(
        default=60,
        gt=0,
        description="Seconds for which it is kept that an id is unknown. Short, because a new user"
        " or item may be added at any time.",
    )

    @property
    def epoch_s(self) -> float:
        """Seconds after which the epoch of a user or an item expires.

        Nothing that was read under an epoch counts after it: this bounds how long a change can
        stay unseen that could not be made visible.
        """
        # Twice as long as any value: most values then expire before their epoch.
        return 2 * max(self.features_s, self.history_s, self.unknown_s)


def cached_keys_of(user_id: str) -> list[str]:
    """Keys of everything that is cached of a user, whatever a bundle counts as its label."""
    of_labels = {kept_types(np.arange(len(TYPES)) == code) for code in range(len(TYPES))}
    return [_USER + user_id, *(_history_prefix(types) + user_id for types in sorted(of_labels))]


def _history_prefix(types: tuple[int, ...]) -> str:
    # Histories with the last events of other types are other values.
    return f"{_HISTORY}{','.join(map(str, types))}:"


def user_reader(cache: Cache, shop: ShopReader, ttls: CacheTtls) -> CachedReader[UserRow]:
    """Reads the numbers that PostgreSQL keeps of users, columns as ``USER_COLUMNS``."""
    kind = CachedKind(
        _USER,
        user_epoch,
        lambda row: row.tobytes(),
        _user_row,
        ttls.features_s,
        ttls.unknown_s,
        ttls.epoch_s,
    )
    return CachedReader(kind, cache, shop.user_features)


def item_reader(cache: Cache, shop: ShopReader, ttls: CacheTtls) -> CachedReader[ItemRow]:
    """Reads items as they are shown."""
    kind = CachedKind(
        _ITEM,
        item_epoch,
        _item_bytes,
        _item_row,
        ttls.features_s,
        ttls.unknown_s,
        ttls.epoch_s,
    )
    return CachedReader(kind, cache, shop.items)


class HistoryReader:
    """Reads the histories of users; the bundle's archive replaces stores that do not answer."""

    def __init__(self, cache: Cache, shop: ShopReader, ttls: CacheTtls) -> None:
        self._cache, self._shop, self._ttls = cache, shop, ttls
        self._readers: dict[tuple[int, ...], CachedReader[Events]] = {}

    async def read(
        self, user_ids: Sequence[str], archive: HistoryArchive, types: tuple[int, ...]
    ) -> Histories:
        """One history per user id, in order; ``stale`` for users whose history is archived.

        Args:
            types: see ``kept_types``. Bundles may differ in them.
        """
        result = await self._reader_of(types).read(user_ids)
        # Only users without an answer get the archive. For others, no history means that the user
        # did nothing yet, even if the archive of an older fit says otherwise.
        archived = archive.read(user_ids, stale=True) if result.unanswered else None
        histories = [
            archived.of_user(i)
            if archived is not None and user_id in result.unanswered
            else result.values.get(user_id, NO_EVENTS)
            for i, user_id in enumerate(user_ids)
        ]
        return Histories.of(histories, [user_id in result.unanswered for user_id in user_ids])

    async def wait_written(self) -> None:
        """Waits until everything that was read is written back."""
        await asyncio.gather(*(reader.wait_written() for reader in self._readers.values()))

    def _reader_of(self, types: tuple[int, ...]) -> CachedReader[Events]:
        if types not in self._readers:
            prefix = _history_prefix(types)
            ttls = self._ttls
            kind = CachedKind(
                prefix,
                user_epoch,
                lambda events: events.tobytes(),
                _events,
                ttls.history_s,
                ttls.unknown_s,
                ttls.epoch_s,
            )
            self._readers[types] = CachedReader(
                kind, self._cache, partial(self._shop.histories, types=types)
            )
        return self._readers[types]


def _user_row(raw: bytes) -> UserRow:
    row = np.frombuffer(raw, np.float64)
    if len(row) != len(USER_COLUMNS):
        raise ValueError(f"{len(row)} numbers, not {len(USER_COLUMNS)}")
    return row


def _events(raw: bytes) -> Events:
    events = np.frombuffer(raw, EVENT)
    if not are_usable(events).all():
        raise ValueError("events that nobody could have done")
    return events


def _item_bytes(row: ItemRow) -> bytes:
    return json.dumps(asdict(row)).encode()


def _item_row(raw: bytes) -> ItemRow:
    try:
        fields = read_json(raw)
        return ItemRow(**{**fields, "tags": tuple(fields["tags"])})
    except (TypeError, KeyError) as error:
        raise ValueError(f"not an item: {error}") from error
