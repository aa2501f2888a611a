"""Defines the stage FeatureFetcher: reads model features of users, and metadata of items."""

from functools import lru_cache

import numpy as np

from serve_app.bundles.bundle_shelf import N_KEPT
from serve_app.database.records import ItemRow
from serve_app.domain.batches import MetadataBatch, RequestBatch, UserFeatures
from serve_app.recommending.scoring.model_features import unknown_user, user_features
from serve_app.stores.connections import Stores
from serve_app.stores.reads_apart import ReadResult
from serve_app.stores.serving_readers import CacheTtls, item_reader, user_reader


class FeatureFetcher:
    """Reads Redis, then PostgreSQL for absent keys. Holds clients, no model."""

    def __init__(self, stores: Stores, ttls: CacheTtls) -> None:
        self._stores = stores
        cache, shop = stores.cache, stores.shop
        self._users_of = lru_cache(N_KEPT)(
            lambda shop_id: user_reader(cache.of_shop(shop_id), shop.of_shop(shop_id), ttls)
        )
        self._items_of = lru_cache(N_KEPT)(
            lambda shop_id: item_reader(cache.of_shop(shop_id), shop.of_shop(shop_id), ttls)
        )

    async def users(self, batch: RequestBatch) -> UserFeatures:
        """Computes features at the time of the batch; unknown users have defaults.

        ``defaulted`` marks only the users for whom no store answered.
        """
        rows = await self._users_of(batch.shop_id).read(batch.user_ids)
        unknown = unknown_user()
        columns = np.stack([rows.values.get(user_id, unknown) for user_id in batch.user_ids])
        defaulted = np.array([user_id in rows.unanswered for user_id in batch.user_ids])
        return UserFeatures(user_features(columns, batch.at), defaulted)

    async def items(self, batch: MetadataBatch) -> ReadResult[ItemRow]:
        """Reads the metadata of known items; names the items for which no store answered."""
        return await self._items_of(batch.shop_id).read(batch.item_ids)

    async def silent_stores(self, at_least_s: float) -> dict[str, float]:
        """Seconds by store, of those that have not answered for at least so long."""
        return await self._stores.silent(at_least_s)


def default_users(batch: RequestBatch) -> UserFeatures:
    """Computes the features that replace those of the stage: all users are unknown."""
    columns = np.tile(unknown_user(), (len(batch), 1))
    return UserFeatures(user_features(columns, batch.at), np.ones(len(batch), bool))
