"""Offers popular items of the user's favourite categories."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.arrays.ragged import best_of_each, offsets_of, owners, positions_within
from serve_app.recommending.candidates.sources.query import Hits, Queries, SourceConfig


class FavoriteCategoriesConfig(SourceConfig):
    """Settings of the source of items of favourite categories."""

    n_categories: int = Field(
        default=3, ge=1, description="Favourite categories whose popular items are offered."
    )


def favorite_categories(queries: Queries, config: FavoriteCategoriesConfig) -> Hits:
    shares = queries.profiles.category_shares
    favorites = np.argsort(-shares, axis=1, kind="stable")[:, : config.n_categories]
    liked = np.take_along_axis(shares, favorites, axis=1) > 0
    requests, codes = np.nonzero(liked)[0], favorites[liked]
    n_liked = liked.sum(axis=1)
    bounds = queries.tables.category_offsets
    rows, offsets = queries.allowed.first_within(
        queries.tables.category_rows,
        bounds[codes],
        bounds[codes + 1],
        requests,
        # Rounded up: the categories together fill the limit.
        -(-config.limit // n_liked[requests]),
    )
    # The best item of a category scores the category's share, the second one half of that, and so
    # on: the lists of the categories interleave.
    ranks = (positions_within(offsets) + 1).astype(np.float32)
    scores: NDArray[np.float32] = shares[requests, codes][owners(offsets)] / ranks
    top, offsets = best_of_each(scores, offsets[offsets_of(n_liked)], config.limit)
    return Hits(rows[top], scores[top], offsets)
