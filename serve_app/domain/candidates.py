"""Finds candidates: asks every source, fuses what they offer, and says what is known of each."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.domain.allowed import AllowedItems
from serve_app.domain.batches import CandidateBatch, RequestBatch
from serve_app.domain.candidate_features import candidate_features
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.columns import MISSING, Mask, Rows
from serve_app.domain.features import SOURCES
from serve_app.domain.fusion import Merged, merge
from serve_app.domain.interactions import INTERACTION_TYPES, PURCHASE, Events, Histories
from serve_app.domain.profiles import Profiles, profiles_of, within
from serve_app.domain.ragged import offsets_of
from serve_app.domain.settings import Settings
from serve_app.domain.sources.autoencoder import AutoencoderConfig, autoencoder
from serve_app.domain.sources.favorite_categories import (
    FavoriteCategoriesConfig,
    favorite_categories,
)
from serve_app.domain.sources.new_items import NewItemsConfig, new_items
from serve_app.domain.sources.popular import PopularConfig, popular
from serve_app.domain.sources.query import NO_HITS, Hits, Query
from serve_app.domain.sources.recent_items import RecentItemsConfig, recent_items
from serve_app.domain.sources.similar_users import SimilarUsersConfig, similar_users
from serve_app.domain.tables import CandidateTables


class CandidatesConfig(Settings):
    """
    Attributes:
        max_candidates: how many candidates per request go on to the scorer; at least the largest
            ``n`` of a request.
        half_life_days: after how long an event says half as much.
        rrf_k: constant of reciprocal rank fusion.
    """

    similar_users: SimilarUsersConfig = SimilarUsersConfig()
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    recent_items: RecentItemsConfig = RecentItemsConfig()
    favorite_categories: FavoriteCategoriesConfig = FavoriteCategoriesConfig()
    new_items: NewItemsConfig = NewItemsConfig()
    popular: PopularConfig = PopularConfig()
    max_candidates: int = Field(default=300, ge=100, le=2_000)
    half_life_days: float = Field(default=60.0, gt=0)
    rrf_k: float = Field(default=60.0, gt=0)

    @property
    def weights(self) -> NDArray[np.float32]:
        """Of the sources, in the order of ``SOURCES``."""
        return np.array([getattr(self, source).weight for source in SOURCES], np.float32)


_ASK: Mapping[str, Callable[[Query, CandidatesConfig], Hits]] = {
    "similar_users": lambda query, config: similar_users(query, config.similar_users),
    "autoencoder": lambda query, config: autoencoder(query, config.autoencoder),
    "recent_items": lambda query, config: recent_items(query, config.recent_items),
    "favorite_categories": lambda query, config: favorite_categories(
        query, config.favorite_categories
    ),
    "new_items": lambda query, config: new_items(query, config.new_items),
    "popular": lambda query, config: popular(query, config.popular),
}

_PURCHASES = np.arange(len(INTERACTION_TYPES)) == PURCHASE


def find_candidates(
    batch: RequestBatch,
    histories: Histories,
    catalogue: Catalogue,
    tables: CandidateTables,
    config: CandidatesConfig,
    *,
    allowed: AllowedItems,
) -> CandidateBatch:
    """
    Candidates of every request of the batch.

    Every request gets at least min(size, number of allowed items) of them; what the user is done
    with (``tables.ending_types``) is not allowed.

    Args:
        histories: what the users did, one per request.
        allowed: masks of the same catalogue.
    """
    histories = within(histories, catalogue)
    profiles = profiles_of(
        histories, catalogue, tables.content_vectors, batch.at, config.half_life_days
    )
    weights = tables.source_weights * config.weights
    merged = [
        _of_request(query, config, weights)
        for query in queries_of(batch, histories, profiles, catalogue, tables, allowed)
    ]
    offsets = offsets_of([len(each.rows) for each in merged])
    rows = np.concatenate([each.rows for each in merged])
    because = np.concatenate([each.because for each in merged])
    return CandidateBatch(
        bundle=batch.bundle,
        offsets=offsets,
        rows=rows,
        features=candidate_features(
            merged, offsets, histories, profiles, catalogue, tables, batch.at
        ),
        because=because,
        because_type=_because_types(because, offsets, histories),
        stale=histories.stale,
    )


def purchased(events: Events) -> Rows:
    """Distinct rows that the user bought, ascending."""
    return rows_of(events, _PURCHASES)


def rows_of(events: Events, types: Mask) -> Rows:
    """Distinct rows that the user did something of these types with, ascending."""
    return np.unique(events["row"][types[events["type"]]])


def queries_of(
    batch: RequestBatch,
    histories: Histories,
    profiles: Profiles,
    catalogue: Catalogue,
    tables: CandidateTables,
    allowed: AllowedItems,
) -> list[Query]:
    bounds = histories.offsets
    return [
        Query(
            catalogue=catalogue,
            tables=tables,
            allowed=allowed.for_request(wanted, rows_of(histories.of_user(i), tables.ending_types)),
            events=histories.of_user(i),
            weights=profiles.weights[bounds[i] : bounds[i + 1]],
            category_shares=profiles.category_shares[i],
            size=int(batch.sizes[i]),
            at=batch.at,
        )
        for i, wanted in enumerate(batch.filters)
    ]


def hits_of(query: Query, config: CandidatesConfig) -> list[Hits]:
    """What each source offers, in the order of ``SOURCES``."""
    return [
        _ASK[source](query, config) if getattr(config, source).enabled else NO_HITS
        for source in SOURCES
    ]


def _of_request(query: Query, config: CandidatesConfig, weights: NDArray[np.float32]) -> Merged:
    limit = max(config.max_candidates, query.size)
    return merge(hits_of(query, config), weights, config.rrf_k, limit)


def _because_types(
    because: Rows, offsets: NDArray[np.int64], histories: Histories
) -> NDArray[np.uint8]:
    """What the user did with the item that led to each candidate; a purchase says most."""
    types = np.zeros(len(because), np.uint8)
    for i in range(len(offsets) - 1):
        own = slice(offsets[i], offsets[i + 1])
        bought = np.isin(because[own], purchased(histories.of_user(i)))
        types[own][bought & (because[own] != MISSING)] = PURCHASE
    return types
