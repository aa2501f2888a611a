"""Computes the numbers of changed items that need no interactions: price level, content vector."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, Rows
from serve_app.arrays.grouping import matches
from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.words import words_of
from serve_app.recommending.scoring.model_features import CATEGORY_POPULARITY, PRICE_LEVEL

MAX_COMPARED = 4_096
"""Items of a category whose prices are compared: of a larger one, evenly spread ones."""


@dataclass(frozen=True, slots=True)
class LiveNumbers:
    """Model features that changed with the price or the category.

    Attributes:
        rows: shape (k,), ascending.
        price_levels, category_popularities: shape (k,), float32.
    """

    rows: Rows
    price_levels: NDArray[np.float32]
    category_popularities: NDArray[np.float32]

    @classmethod
    def none(cls) -> "LiveNumbers":
        nothing = np.empty(0, np.float32)
        return cls(np.empty(0, np.int32), nothing, nothing)

    def updated(self, later: "LiveNumbers") -> "LiveNumbers":
        """These numbers, and later ones in place of those of the same rows."""
        rows = np.concatenate((later.rows, self.rows))
        merged, first = np.unique(rows, return_index=True)
        levels = np.concatenate((later.price_levels, self.price_levels))[first]
        means = np.concatenate((later.category_popularities, self.category_popularities))[first]
        return LiveNumbers(merged.astype(np.int32), levels, means)

    def of(
        self, rows: Rows, features: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Both numbers of ascending rows; those of the fit, by row, where nothing changed."""
        levels = features[rows, PRICE_LEVEL]
        means = features[rows, CATEGORY_POPULARITY]
        positions, at = matches(rows, self.rows)
        levels[positions] = self.price_levels[at]
        means[positions] = self.category_popularities[at]
        return levels, means


def compute_numbers(
    rows: Rows, catalogue: Catalogue, tables: CandidateTables, known: CandidateTables
) -> LiveNumbers:
    """Numbers of ascending rows in a catalogue with its tables; ``known`` are those of the fit."""
    levels = np.full(len(rows), np.nan, np.float32)
    means = np.full(len(rows), np.nan, np.float32)
    prices, codes = catalogue.number("price"), catalogue.categories.codes
    # One look at each category, however many of its items changed.
    members_of = {code: _members(code, tables) for code in set(codes[rows].tolist())}
    for i, row in enumerate(rows.tolist()):
        code = int(codes[row])
        if code == MISSING:
            continue
        of_others = members_of[code][members_of[code] != row]
        levels[i] = _level(float(prices[row]), prices[of_others])
        means[i] = _category_mean(code, catalogue, known)
    return LiveNumbers(rows, levels, means)


def _members(code: int, tables: CandidateTables) -> Rows:
    members = tables.category_rows[
        tables.category_offsets[code] : tables.category_offsets[code + 1]
    ]
    return members[:: -(-len(members) // MAX_COMPARED) or 1]


def _level(price: float, others: NDArray[np.floating]) -> float:
    """Rank of a price among those of the other items of its category, 0 (cheapest) to 1."""
    others = others[np.isfinite(others)]
    if np.isnan(price):
        return np.nan
    return float(np.count_nonzero(others < price)) / max(len(others), 1)


def _category_mean(code: int, catalogue: Catalogue, known: CandidateTables) -> float:
    """The mean popularity of a category, as the fit computed it for each of its items."""
    offsets = known.category_offsets
    if code >= len(offsets) - 1 or offsets[code] == offsets[code + 1]:
        return 0.0
    # Features are the fit's, and so is this item's category in the fit.
    return float(catalogue.features[known.category_rows[offsets[code]], CATEGORY_POPULARITY])


def content_vectors_of(
    titles: Sequence[str], tags: Sequence[Sequence[str]], tables: CandidateTables
) -> NDArray[np.float32]:
    """Content vectors of items by their words, shape (k, d), as ``CandidateTables`` has them."""
    vectors = np.zeros((len(titles), tables.word_vectors.shape[1]), np.float32)
    for i, (title, of_item) in enumerate(zip(titles, tags, strict=True)):
        rows = tables.word_index.find(words_of(title, of_item))
        total = tables.word_vectors[rows[rows != MISSING]].sum(axis=0)
        length = float(np.linalg.norm(total))
        if length > 0:
            vectors[i] = total / length
    return vectors
