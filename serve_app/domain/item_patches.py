"""Defines what stages without a live catalogue are told of items that differ from the bundle."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Rows, Texts
from serve_app.arrays.grouping import matches
from serve_app.arrays.patches import PatchedTexts
from serve_app.domain.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class ItemPatch:
    """Numbers of items that differ from those of the bundle.

    Attributes:
        rows: shape (k,), int32, ascending.
        prices: shape (k,), float64, NaN if unknown.
        created_at: shape (k,), float64, epoch seconds, NaN if unknown.
        categories: shape (k,), int32, codes; those behind the bundle's are in ``ChangedNames``.
        price_levels, category_popularities: shape (k,), float32, model features.
    """

    rows: Rows
    prices: NDArray[np.float64]
    created_at: NDArray[np.float64]
    categories: NDArray[np.int32]
    price_levels: NDArray[np.float32]
    category_popularities: NDArray[np.float32]

    def hits(self, rows: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Positions among ``rows`` of those in the patch, and the position of each in the patch."""
        return matches(rows, self.rows)


@dataclass(frozen=True, slots=True)
class ChangedNames:
    """Names of items that differ from the bundle, and words of new categories.

    Attributes:
        rows: shape (k,), int32, ascending.
        item_ids, titles: of ``rows``.
        categories: words of the codes behind those of the bundle, in their order.
    """

    rows: Rows
    item_ids: Texts
    titles: Texts
    categories: Texts


@dataclass(frozen=True, slots=True)
class ItemNames:
    """How answers name items and categories: by row, and by code."""

    item_ids: Texts
    titles: Texts
    categories: Texts

    @classmethod
    def of(cls, catalogue: Catalogue, changed: ChangedNames | None = None) -> "ItemNames":
        """The names of a catalogue, and those that changed."""
        words = catalogue.categories.vocabulary
        if changed is None:
            return cls(catalogue.item_ids, catalogue.titles, words)
        return cls(
            PatchedTexts.over(catalogue.item_ids, changed.rows, changed.item_ids),
            PatchedTexts.over(catalogue.titles, changed.rows, changed.titles),
            words.join(changed.categories) if len(changed.categories) else words,
        )
