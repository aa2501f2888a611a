"""Finds candidates: asks every source, fuses their lists, and computes features."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.arrays.columns import MISSING, Mask
from serve_app.arrays.grouping import Keys, positions_in, strongest_by_key
from serve_app.arrays.ragged import owners
from serve_app.domain.batches import CandidateBatch, RequestBatch
from serve_app.domain.filters.allowed_items import AllowedItems
from serve_app.domain.fitted import Fitted
from serve_app.domain.interactions import REASON_PRIORITIES, Histories
from serve_app.domain.settings import Settings
from serve_app.recommending.candidates.candidate_features import candidate_features
from serve_app.recommending.candidates.fusion import Merged, merge
from serve_app.recommending.candidates.profiles import drop_unknown_items, profiles_of
from serve_app.recommending.candidates.sources.autoencoder import AutoencoderConfig, autoencoder
from serve_app.recommending.candidates.sources.favorite_categories import (
    FavoriteCategoriesConfig,
    favorite_categories,
)
from serve_app.recommending.candidates.sources.new_items import NewItemsConfig, new_items
from serve_app.recommending.candidates.sources.next_items import NextItemsConfig, next_items
from serve_app.recommending.candidates.sources.popular import PopularConfig, popular
from serve_app.recommending.candidates.sources.query import Hits, Queries, no_hits
from serve_app.recommending.candidates.sources.recent_items import RecentItemsConfig, recent_items
from serve_app.recommending.candidates.sources.similar_sessions import (
    SimilarSessionsConfig,
    similar_sessions,
)
from serve_app.recommending.candidates.sources.similar_users import (
    SimilarUsersConfig,
    similar_users,
)
from serve_app.recommending.scoring.model_features import SOURCES


class CandidatesConfig(Settings):
    """The sources of candidates, and how their lists are fused."""

    similar_users: SimilarUsersConfig = SimilarUsersConfig()
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    recent_items: RecentItemsConfig = RecentItemsConfig()
    next_items: NextItemsConfig = NextItemsConfig()
    similar_sessions: SimilarSessionsConfig = SimilarSessionsConfig()
    favorite_categories: FavoriteCategoriesConfig = FavoriteCategoriesConfig()
    new_items: NewItemsConfig = NewItemsConfig()
    popular: PopularConfig = PopularConfig()
    max_candidates: int = Field(
        default=300,
        ge=100,
        le=2_000,
        description="Scored candidates of a request, never fewer than its `n`. More cost time.",
    )
    half_life_days: float = Field(
        default=60.0,
        gt=0,
        description="Days after which an event says half as much about the user.",
    )
    rrf_k: float = Field(
        default=60.0,
        gt=0,
        description="Constant of rank fusion. A larger value makes the first ranks count less.",
    )

    @property
    def weights(self) -> NDArray[np.float32]:
        """Weights of the sources, in the order of ``SOURCES``."""
        return np.array([getattr(self, source).weight for source in SOURCES], np.float32)


_ASK: Mapping[str, Callable[[Queries, Any], Hits]] = {
    "similar_users": similar_users,
    "autoencoder": autoencoder,
    "recent_items": recent_items,
    "next_items": next_items,
    "similar_sessions": similar_sessions,
    "favorite_categories": favorite_categories,
    "new_items": new_items,
    "popular": popular,
}
"""The function of each source, by the name of its settings in ``CandidatesConfig``."""


@dataclass(frozen=True, slots=True)
class CandidateFinder:
    """Finds the candidates of a batch.

    Attributes:
        allowed: masks over the fitted catalogue. They are cached, so only one thread may use them.
    """

    fitted: Fitted
    allowed: AllowedItems
    config: CandidatesConfig

    @classmethod
    def of(
        cls, fitted: Fitted, config: CandidatesConfig, *, include_out_of_stock: bool = False
    ) -> "CandidateFinder":
        allowed = AllowedItems(fitted.catalogue, include_out_of_stock=include_out_of_stock)
        return cls(fitted, allowed, config)

    def find(self, batch: RequestBatch, histories: Histories) -> CandidateBatch:
        """Candidates of every request of the batch.

        Every request gets at least min(size, number of allowed items) candidates. Items that the
        user is done with (``CandidateTables.ending_types``) are not allowed.

        Args:
            histories: the users' events, one history per request.
        """
        queries, config = self.queries(batch, histories), self.config
        merged = merge(
            ask_sources(queries, config),
            self.fitted.tables.source_weights * config.weights,
            config.rrf_k,
            # A longer list needs more candidates than the setting allows.
            np.maximum(config.max_candidates, batch.sizes),
            queries.n_rows,
        )
        return CandidateBatch(
            bundle=batch.bundle,
            offsets=merged.offsets,
            rows=merged.rows,
            features=candidate_features(merged, queries),
            because=merged.because,
            because_type=_because_types(merged, queries.histories, queries.n_rows),
            stale=histories.stale,
        )

    def queries(self, batch: RequestBatch, histories: Histories) -> Queries:
        """The batch as the sources see it; the arguments are those of ``find``."""
        # Stores may be ahead of the bundle: an event may name a row that the arrays do not have.
        catalogue, tables = self.fitted.catalogue, self.fitted.tables
        histories = drop_unknown_items(histories, catalogue).standing(len(catalogue))
        done = keys_with_types(histories, tables.ending_types, len(catalogue))
        return Queries(
            catalogue=catalogue,
            tables=tables,
            allowed=self.allowed.for_requests(batch.filters, done),
            histories=histories,
            profiles=profiles_of(
                histories, catalogue, tables.content_vectors, batch.at, self.config.half_life_days
            ),
            sizes=batch.sizes,
            at=batch.at,
        )


def keys_with_types(histories: Histories, types: Mask, n_rows: int) -> Keys:
    """Distinct rows with an interaction of these types, as ascending keys."""
    return np.unique(histories.keys(n_rows)[types[histories.events["type"]]])


def ask_sources(queries: Queries, config: CandidatesConfig) -> list[Hits]:
    """Asks each source for its hits, in the order of ``SOURCES``."""
    settings = {source: getattr(config, source) for source in SOURCES}
    # A disabled source offers nothing, but keeps its columns: features have fixed positions.
    return [
        _ASK[source](queries, of_source) if of_source.enabled else no_hits(len(queries))
        for source, of_source in settings.items()
    ]


def _because_types(merged: Merged, histories: Histories, n_rows: int) -> NDArray[np.uint8]:
    """The strongest interaction with the item that led to each candidate."""
    types = histories.events["type"]
    keys, strongest = strongest_by_key(histories.keys(n_rows), REASON_PRIORITIES[types])
    because_types = np.zeros(len(merged.rows), np.uint8)
    led = np.flatnonzero(merged.because != MISSING)
    because_keys = owners(merged.offsets)[led] * n_rows + merged.because[led]
    # Every such item is in the history, so each key occurs among ``keys``.
    because_types[led] = types[strongest][positions_in(because_keys, keys)]
    return because_types
