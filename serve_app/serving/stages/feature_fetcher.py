"""Defines the stage FeatureFetcher: reads model features of users, and metadata of items."""

from collections.abc import Sequence

import numpy as np

from serve_app.domain.batches import RequestBatch, UserFeatures
from serve_app.recommending.scoring.model_features import unknown_user, user_features
from serve_app.stores.connections import Stores
from serve_app.stores.reads_apart import ReadResult
from serve_app.stores.records import ItemRow
from serve_app.stores.serving_readers import CacheTtls, item_reader, user_reader


class FeatureFetcher:
    """Reads Redis, then PostgreSQL for absent keys. Holds clients, no model."""

    def __init__(self, stores: Stores, ttls: CacheTtls) -> None:
        self._stores = stores
        self._users = user_reader(stores.cache, stores.shop, ttls)
        self._items = item_reader(stores.cache, stores.shop, ttls)

    async def users(self, batch: RequestBatch) -> UserFeatures:
        """Computes features at the time of the batch; unknown users have defaults.

        ``defaulted`` marks only the users for whom no store answered.
        """
        rows = await self._users.read(batch.user_ids)
        unknown = unknown_user()
        columns = np.stack([rows.values.get(user_id, unknown) for user_id in batch.user_ids])
        defaulted = np.array([user_id in rows.unanswered for user_id in batch.user_ids])
        return UserFeatures(user_features(columns, batch.at), defaulted)

    async def items(self, item_ids: Sequence[str]) -> ReadResult[ItemRow]:
        """Reads the metadata of known items; names the items for which no store answered."""
        return await self._items.read(item_ids)

    async def silent_stores(self, at_least_s: float) -> dict[str, float]:
        """Seconds by store, of those that have not answered for at least so long."""
        return await self._stores.silent(at_least_s)


def default_users(batch: RequestBatch) -> UserFeatures:
    """Computes the features that replace those of the stage: all users are unknown."""
    columns = np.tile(unknown_user(), (len(batch), 1))
    return UserFeatures(user_features(columns, batch.at), np.ones(len(batch), bool))
