"""Defines a bundle's arrays at a revision of the shop, and applies changes to them.

Nothing is changed in place: batches under way keep the revision that they began with. Arrays in
which nothing differs are those of the bundle, or of the revision before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, IdIndex, Mask, Rows, Texts
from serve_app.arrays.grouping import in_sorted
from serve_app.arrays.patches import PatchedIndex, patch_matrix
from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.fitted import Fitted
from serve_app.domain.interactions import HistoryArchive
from serve_app.domain.item_changes import Changes, ItemChange
from serve_app.domain.item_patches import ChangedNames, ItemPatch
from serve_app.live.described import describe_anew
from serve_app.live.live_numbers import LiveNumbers, compute_numbers, content_vectors_of
from serve_app.live.orders import Moved, reorder
from serve_app.live.patched_columns import values_at

NO_ROWS: Rows = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Live:
    """The arrays of a bundle as the shop is at a revision.

    Attributes:
        revision: of the shop; all changes up to it are in the arrays.
        base: the arrays of the bundle.
        fitted: the arrays at the revision; the same object until something changes.
        rows: shape (k,), int32, ascending, items that changed since the fit.
        revisions: shape (k,), int64, of the last change of each.
        are_changed: shape (n,), bool, marks ``rows``; empty until something changes.
        added: rows that the orders of the bundle lack, ascending.
        numbers: model features that changed.
        n_without_row: items that have to wait for the next fit, because no spare row is left.
    """

    revision: int
    base: Fitted
    fitted: Fitted
    rows: Rows
    revisions: NDArray[np.int64]
    are_changed: Mask
    added: Rows
    numbers: LiveNumbers
    n_without_row: int = 0

    @classmethod
    def of(cls, fitted: Fitted, revision: int) -> "Live":
        """The arrays as the fit left them."""
        nothing = np.empty(0, np.int64)
        none = LiveNumbers.none()
        return cls(revision, fitted, fitted, NO_ROWS, nothing, np.empty(0, bool), NO_ROWS, none)

    def changed_since(self, revision: int) -> Rows:
        """Rows of the items that changed after a revision, ascending."""
        return self.rows[self.revisions > revision]

    def have_changed(self, rows: Rows, revision: int) -> bool:
        """Tells whether an item of some rows changed after a revision."""
        return self.revision > revision and bool(
            in_sorted(rows, self.changed_since(revision)).any()
        )


def apply(live: Live, changes: Changes) -> Live:
    """The arrays after some more changes. Those that are known already change nothing."""
    n_rows = len(live.base.catalogue)
    # A later change of an item replaces an earlier one.
    latest = {item.row: item for item in changes.items if item.revision > live.revision}
    items = [latest[row] for row in sorted(latest) if 0 <= row < n_rows]
    beyond = max((row - n_rows + 1 for row in latest), default=0)
    live = replace(
        live,
        revision=max(live.revision, changes.revision),
        n_without_row=max(live.n_without_row, beyond),
    )
    if changes.forgotten:
        archive = _without(live.fitted.archive, changes.forgotten)
        live = replace(live, fitted=replace(live.fitted, archive=archive))
    return _with_items(live, items, changes) if items else live


def _with_items(live: Live, items: Sequence[ItemChange], changes: Changes) -> Live:
    rows = np.array([item.row for item in items], np.int32)
    before = live.fitted.catalogue
    after = describe_anew(before, items, rows, changes.kinds)
    were_in = live.base.catalogue.listed[rows] | in_sorted(rows, live.added)
    moved = Moved(rows, were_in, were_in | after.listed[rows])
    tables = reorder(live.fitted.tables, before, after, moved)
    tables = _with_contents(tables, before, after, items, rows)
    numbered = rows[_are_numbered_anew(before, after, moved)]
    numbers = live.numbers
    if len(numbered):
        numbers = numbers.updated(compute_numbers(numbered, after, tables, live.base.tables))
    return replace(
        _noted(live, items, rows),
        fitted=Fitted(after, tables, live.fitted.archive),
        added=np.union1d(live.added, rows[moved.are_in & ~were_in]).astype(np.int32),
        numbers=numbers,
    )


def _noted(live: Live, items: Sequence[ItemChange], rows: Rows) -> Live:
    """Notes which items changed, and when."""
    revisions = np.array([item.revision for item in items], np.int64)
    merged, first = np.unique(np.concatenate((rows, live.rows)), return_index=True)
    marks = live.are_changed
    marks = marks.copy() if len(marks) else np.zeros(len(live.base.catalogue), bool)
    marks[rows] = True
    return replace(
        live,
        rows=merged.astype(np.int32),
        revisions=np.concatenate((revisions, live.revisions))[first],
        are_changed=marks,
    )


def _are_numbered_anew(before: Catalogue, after: Catalogue, moved: Moved) -> Mask:
    rows = moved.rows
    old, new = (each.number("price")[rows] for each in (before, after))
    is_same_price = (old == new) | (np.isnan(old) & np.isnan(new))
    is_same_category = before.categories.codes[rows] == after.categories.codes[rows]
    differ: Mask = ~(is_same_price & is_same_category) | (moved.are_in & ~moved.were_in)
    return differ


def _with_contents(
    tables: CandidateTables,
    before: Catalogue,
    after: Catalogue,
    items: Sequence[ItemChange],
    rows: Rows,
) -> CandidateTables:
    """Places the items whose words changed among all others."""
    old_tags = values_at(before.columns["tags"], rows)
    new_tags = values_at(after.columns["tags"], rows)
    changed = [
        i
        for i, row in enumerate(rows.tolist())
        if old_tags[i] != new_tags[i] or before.titles.at(row) != items[i].title
    ]
    if not changed:
        return tables
    vectors = content_vectors_of(
        [items[i].title for i in changed], [items[i].tags for i in changed], tables
    )
    return replace(
        tables, content_vectors=patch_matrix(tables.content_vectors, rows[changed], vectors)
    )


def _without(archive: HistoryArchive, forgotten: Sequence[int]) -> HistoryArchive:
    hashes = np.unique(np.array(forgotten, np.uint64))
    hidden = IdIndex(hashes, np.full(len(hashes), MISSING, np.int32))
    return replace(archive, index=PatchedIndex.over(archive.index, hidden))


def patch_for(live: Live, rows: Rows) -> ItemPatch | None:
    """Numbers of those of the rows that differ from the bundle; ``None`` if none does."""
    if not len(live.rows):
        return None
    changed = np.unique(rows[live.are_changed[rows]])
    if not len(changed):
        return None
    catalogue = live.fitted.catalogue
    levels, means = live.numbers.of(changed, catalogue.features)
    return ItemPatch(
        changed,
        catalogue.number("price")[changed].astype(np.float64),
        catalogue.number("created_at")[changed].astype(np.float64),
        catalogue.categories.codes[changed],
        levels,
        means,
    )


def names_for(live: Live, rows: Rows) -> ChangedNames | None:
    """Names of those of the rows that changed since the fit; ``None`` if none did."""
    if not len(live.rows):
        return None
    changed = np.unique(rows[live.are_changed[rows]])
    catalogue, n_known = live.fitted.catalogue, live.base.catalogue.categories.n_words
    words = catalogue.categories.vocabulary
    return ChangedNames(
        changed,
        Texts.of(catalogue.item_ids.take(changed.tolist())),
        Texts.of(catalogue.titles.take(changed.tolist())),
        Texts.of(words.take(range(n_known, len(words)))),
    )


def difference(before: Live, after: Live) -> tuple[Rows, bool]:
    """Compares two revisions of one bundle, in either order.

    Returns:
        Ascending rows in which they may differ, and whether their orders do.
    """
    first, last = sorted((before, after), key=lambda live: live.revision)
    old, new = first.fitted.tables, last.fitted.tables
    is_reordered = any(
        getattr(old, name) is not getattr(new, name)
        for name in ("popular_rows", "category_rows", "newest_rows")
    )
    return last.changed_since(first.revision), is_reordered
