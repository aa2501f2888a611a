"""What is popular in the categories that the user likes most."""

import numpy as np
from pydantic import Field

from serve_app.domain.sources.query import NO_HITS, Hits, Query, SourceConfig


class FavoriteCategoriesConfig(SourceConfig):
    """Attributes: n_categories: how many favourite categories are asked."""

    n_categories: int = Field(default=3, ge=1)


def favorite_categories(query: Query, config: FavoriteCategoriesConfig) -> Hits:
    favorites = np.argsort(-query.category_shares, kind="stable")[: config.n_categories]
    favorites = favorites[query.category_shares[favorites] > 0]
    if not len(favorites):
        return NO_HITS
    each = -(-config.limit // len(favorites))
    offsets, by_category = query.tables.category_offsets, query.tables.category_rows
    found = [
        query.allowed.first(by_category[offsets[code] : offsets[code + 1]], each)
        for code in favorites
    ]
    # The first of the favourite category is worth its share, the second half of it, and so on.
    scores = np.concatenate(
        [
            query.category_shares[code] / np.arange(1, len(rows) + 1, dtype=np.float32)
            for code, rows in zip(favorites, found, strict=True)
        ]
    )
    top = np.argsort(-scores, kind="stable")[: config.limit]
    return Hits(np.concatenate(found)[top], scores[top])
