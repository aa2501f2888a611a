"""Makes a bundle with a larger catalogue, from copies of its items without buyers.

Copies follow their originals in all orders, each slightly less popular. They have categories,
prices and vectors, and neighbours among copies. Users, baskets and models are unchanged.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import (
    FlagColumn,
    IdIndex,
    NumberColumn,
    PatchedColumn,
    StoredColumn,
    TagsColumn,
    TextColumn,
    Texts,
)
from serve_app.arrays.ragged import Offsets, offsets_of
from serve_app.bundles.bundle import Bundle
from serve_app.bundles.publishing import BundleContents, FittedModel
from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.fitted import Fitted

_FADING = 0.97
"""Popularity of a copy, as a share of the previous copy's."""


def enlarged(bundle: Bundle, n_items: int) -> BundleContents:
    """
    Args:
        n_items: least number of items; every item gets equally many copies.
    """
    n_copies = -(-n_items // int(bundle.fitted.catalogue.listed.sum()))
    catalogue = enlarged_catalogue(bundle.fitted.catalogue, n_copies)
    manifest = bundle.manifest
    return BundleContents(
        Fitted(
            catalogue,
            enlarged_tables(bundle.fitted.tables, bundle.fitted.catalogue, catalogue, n_copies),
            bundle.fitted.archive,
        ),
        models={
            variant: FittedModel(
                model.features,
                model.objective,
                bundle.model_path(variant).read_bytes(),
                model.n_trees,
                model.metrics,
                _read_if_any(bundle.held_out_path(variant)),
            )
            for variant, model in manifest.models.items()
        },
        until_at=manifest.until_at,
        horizon_s=manifest.horizon_s,
        metrics=manifest.metrics,
        measured_from_at=manifest.measured_from_at,
        n_interactions=len(bundle.fitted.archive.events),
    )


def _read_if_any(file: Path | None) -> bytes | None:
    return None if file is None else file.read_bytes()


def enlarged_catalogue(catalogue: Catalogue, n_copies: int) -> Catalogue:
    """Catalogue of the items, then their copies; the id of a copy ends in its number."""
    ids = catalogue.item_ids.take(range(len(catalogue)))
    titles = catalogue.titles.take(range(len(catalogue)))
    all_ids = ids + [f"{item_id}-{k}" for k in range(1, n_copies) for item_id in ids]
    fading = np.repeat(_FADING ** np.arange(n_copies), len(catalogue))
    columns = {
        name: _repeated(column, n_copies)
        for name, column in catalogue.columns.items()
        if not isinstance(column, PatchedColumn)
    }
    popularity = np.tile(catalogue.number("popularity"), n_copies) * fading
    return Catalogue(
        version="",
        item_ids=Texts.of(all_ids),
        titles=Texts.of(titles * n_copies),
        index=IdIndex.of(all_ids),
        listed=np.tile(catalogue.listed, n_copies),
        columns={**columns, "popularity": NumberColumn(popularity)},
        vectors=np.tile(catalogue.vectors, (n_copies, 1)),
        features=np.tile(catalogue.features, (n_copies, 1)),
    )


_LISTS = ("neighbour", "transition", "linear")
"""Each copy has lists of its own, of copies."""

_ROWS = (*(f"{name}_rows" for name in _LISTS), "session_items")

_NUMBERS = (
    *("neighbour_scores", "transition_weights", "linear_weights"),
    *("step_in", "step_out", "context_vectors", "next_vectors", "next_biases"),
    *("trends", "recent_trends", "factors_in", "factors_out", "period_counts"),
)
"""A copy has the numbers of its item."""


def enlarged_tables(
    tables: CandidateTables, small: Catalogue, large: Catalogue, n_copies: int
) -> CandidateTables:
    n = len(small)
    shifts = np.arange(n_copies, dtype=np.int32) * n
    popular = _interleaved(tables.popular_rows, shifts)
    by_popularity = popular[np.argsort(-large.number("popularity")[popular], kind="stable")]
    codes = large.categories.codes[by_popularity]
    by_category = by_popularity[codes >= 0][np.argsort(codes[codes >= 0], kind="stable")]
    lengths = np.bincount(codes[codes >= 0], minlength=large.categories.n_words)
    lists = {name: np.diff(getattr(tables, f"{name}_offsets")) for name in _LISTS}
    copied: dict[str, Any] = {
        **{f"{name}_offsets": offsets_of(np.tile(each, n_copies)) for name, each in lists.items()},
        **{name: (shifts[:, None] + getattr(tables, name)).ravel() for name in _ROWS},
        **{name: np.concatenate([getattr(tables, name)] * n_copies) for name in _NUMBERS},
    }
    return replace(
        tables,
        popular_rows=by_popularity,
        category_offsets=offsets_of(lengths),
        category_rows=by_category,
        newest_rows=_interleaved(tables.newest_rows, shifts),
        # A key is first row * n_rows + second row.
        pair_keys=tables.pair_keys // n * len(large) + tables.pair_keys % n,
        visit_offsets=_of_originals(tables.visit_offsets, n * (n_copies - 1)),
        buyer_offsets=_of_originals(tables.buyer_offsets, n * (n_copies - 1)),
        content_vectors=np.tile(tables.content_vectors[np.arange(n)], (n_copies, 1)),
        **copied,
    )


def _of_originals(offsets: Offsets, n_others: int) -> Offsets:
    """Offsets with an empty list for each copy."""
    return np.concatenate((offsets, np.full(n_others, offsets[-1])))


def _interleaved(rows: NDArray[np.int32], shifts: NDArray[np.int32]) -> NDArray[np.int32]:
    """Rows, each followed by its copies."""
    interleaved: NDArray[np.int32] = (rows[:, None] + shifts).ravel().astype(np.int32)
    return interleaved


def _repeated(column: StoredColumn, n_copies: int) -> StoredColumn:
    match column:
        case NumberColumn(values):
            return NumberColumn(np.tile(values, n_copies))
        case FlagColumn(values):
            return FlagColumn(np.tile(values, n_copies))
        case TextColumn():
            return TextColumn(np.tile(column.codes, n_copies), column.vocabulary)
        case TagsColumn():
            lengths = np.tile(np.diff(column.offsets), n_copies)
            return TagsColumn(
                np.tile(column.codes, n_copies), offsets_of(lengths), column.vocabulary
            )
        case _:
            raise TypeError(f"a column of a fit, not {type(column).__name__}")
