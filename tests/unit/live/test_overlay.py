from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.arrays.columns import MISSING, hash_ids, kind_of
from serve_app.domain.batches import RequestBatch
from serve_app.domain.filters.allowed_items import AllowedItems
from serve_app.domain.filters.masks import filter_mask
from serve_app.domain.filters.parsing import parse_filter
from serve_app.domain.fitted import Fitted
from serve_app.domain.interactions import NO_EVENTS, Histories, make_events
from serve_app.domain.item_changes import Changes, ItemChange
from serve_app.fitting.tables.popularity_tables import order_catalogue
from serve_app.live.overlay import Live, apply, difference, names_for, patch_for
from serve_app.recommending.candidates.finding import CandidateFinder, CandidatesConfig
from serve_app.serving.composing import describe
from tests.support.changing_shop import (
    AT,
    KINDS,
    N_ITEMS,
    N_SPARE,
    after,
    catalogue_of,
    first_fitted,
    first_items,
    item_changes,
)

FILTERS: list[dict[str, Any]] = [
    {"category": "mugs"},
    {"category": ["hats", "rugs"]},
    {"category": {"not_in": ["lamps"]}},
    {"price": {"lte": 3}},
    {"price": [19.99]},
    {"tags": {"any": ["new", "oak"]}},
    {"tags": {"all": ["new", "old"]}},
    {"tags": {"none": ["old"]}},
    {"in_stock": True},
    {"created_at": {"gte": 1_000_000}},
    {"item_id": ["i1", "i9", "i11"]},
    {"item_id": {"not_in": ["i1", "i9"]}},
    {"brand": "Oak"},
    {"brand": {"not_in": ["Ash"]}},
    {"width": {"gt": 2}, "category": "lamps"},
    {"eco": False},
    {"uses": {"any": ["y"]}},
    {"fresh": ["newer"]},
]


def at_revision(changes: list[ItemChange], n_first: int = 0) -> Live:
    """The overlay after changes that come in two parts."""
    live = Live.of(first_fitted(), 0)
    for part in (changes[:n_first], changes[n_first:]):
        last = part[-1].revision if part else live.revision
        live = apply(live, Changes(last, part, kinds=KINDS))
    return live


def afresh(changes: list[ItemChange]) -> Fitted:
    """The arrays that a fit makes of the changed items; what it learns stays as it was."""
    catalogue = catalogue_of(after(changes))
    tables = replace(first_fitted().tables, **order_catalogue(catalogue)._asdict())
    return Fitted(catalogue, tables, first_fitted().archive)


def filters_for(fitted: Fitted) -> list:
    types = {name: kind_of(column) for name, column in fitted.catalogue.columns.items()}
    return [parse_filter(body, types) for body in FILTERS if body.keys() <= {*types, "item_id"}]


def shown(ordered: np.ndarray, fitted: Fitted) -> list[int]:
    return ordered[fitted.catalogue.sellable[ordered]].tolist()


def categories_of(fitted: Fitted) -> dict[str, list[int]]:
    tables, words = fitted.tables, list(fitted.catalogue.categories.vocabulary)
    bounds = tables.category_offsets
    assert len(bounds) == len(words) + 1
    lists = {
        word: shown(tables.category_rows[bounds[code] : bounds[code + 1]], fitted)
        for code, word in enumerate(words)
    }
    return {word: rows for word, rows in lists.items() if rows}


patient = settings(deadline=None, max_examples=40)
some_changes = item_changes()
some_parts = st.integers(0, 8)


class TestAnOverlayEqualsACatalogueBuiltAfresh:
    @patient
    @given(some_changes, some_parts)
    def test_in_filters(self, changes, n_first):
        live, fresh = at_revision(changes, n_first).fitted, afresh(changes)

        for wanted in filters_for(fresh):
            allowed = filter_mask(wanted, live.catalogue) & live.catalogue.sellable
            expected = filter_mask(wanted, fresh.catalogue) & fresh.catalogue.sellable
            np.testing.assert_array_equal(allowed, expected, str(wanted))

    @patient
    @given(some_changes, some_parts)
    def test_in_masks_that_are_kept_from_revision_to_revision(self, changes, n_first):
        fresh = afresh(changes)
        live, wanted = Live.of(first_fitted(), 0), filters_for(fresh)
        allowed = AllowedItems(live.fitted.catalogue)
        none = np.empty(0, np.int64)
        for part in ([], changes[:n_first], changes[n_first:]):
            last = part[-1].revision if part else live.revision
            later = apply(live, Changes(last, part, kinds=KINDS))
            rows, is_reordered = difference(live, later)
            allowed.move(later.fitted.catalogue, rows, is_reordered=is_reordered)
            # Some filters are not asked for at each revision.
            masks = allowed.for_requests([None, *wanted[:: 1 + len(part) % 2]], none).masks
            live = later

        masks = allowed.for_requests([None, *wanted], none).masks
        for mask, each in zip(masks, [None, *wanted], strict=True):
            of_filter = True if each is None else filter_mask(each, fresh.catalogue)
            np.testing.assert_array_equal(mask, fresh.catalogue.sellable & of_filter)

    @patient
    @given(some_changes, some_parts)
    def test_in_orders(self, changes, n_first):
        live, fresh = at_revision(changes, n_first).fitted, afresh(changes)

        for name in ("popular_rows", "newest_rows"):
            orders = [shown(getattr(each.tables, name), each) for each in (live, fresh)]
            assert orders[0] == orders[1], name
        assert categories_of(live) == categories_of(fresh)

    @patient
    @given(some_changes, some_parts)
    def test_in_lists(self, changes, n_first):
        live, fresh = at_revision(changes, n_first).fitted, afresh(changes)
        events = make_events([1, 2, 8], [3, 0, 0], [AT - 9e5, AT - 8e5, AT - 7e5])
        histories = Histories.of([events, NO_EVENTS, events])
        config = CandidatesConfig()
        wanted = filters_for(fresh)[0]
        batch = RequestBatch(
            "", ("a", "b", "c"), np.full(3, 5, np.int32), (None, None, wanted), np.full(3, AT)
        )

        lists = [CandidateFinder.of(each, config).find(batch, histories) for each in (live, fresh)]

        np.testing.assert_array_equal(lists[0].offsets, lists[1].offsets)
        np.testing.assert_array_equal(lists[0].rows, lists[1].rows)

    @patient
    @given(some_changes, some_parts)
    def test_in_ids_titles_and_metadata(self, changes, n_first):
        live, fresh = at_revision(changes, n_first).fitted.catalogue, afresh(changes).catalogue

        ids = [f"i{row}" for row in range(N_ITEMS + N_SPARE)]
        np.testing.assert_array_equal(live.index.find(ids), fresh.index.find(ids))
        for item_id, row in zip(ids, fresh.index.find(ids).tolist(), strict=True):
            if row != MISSING:
                assert live.item_ids.at(row) == item_id
                assert describe(item_id, live) == describe(item_id, fresh)

    @patient
    @given(some_changes, some_parts)
    def test_whatever_is_applied_twice(self, changes, n_first):
        once = at_revision(changes, n_first)

        again = apply(once, Changes(once.revision, changes, kinds=KINDS))

        assert again.fitted is once.fitted


PRICIER = replace(first_items()[2], revision=5, price=7.5)
NEW = ItemChange(6, N_ITEMS, "i8", "red thing", "hats", 3.0, created_at=AT - 1000.0)


class TestRevisions:
    def test_keep_the_arrays_in_which_nothing_differs(self):
        before = Live.of(first_fitted(), 0)

        later = apply(before, Changes(5, [PRICIER]))

        old, new = before.fitted, later.fitted
        assert new.catalogue.number("price")[2] == 7.5
        assert old.catalogue.number("price")[2] == 3.0
        assert new.catalogue.titles is old.catalogue.titles
        assert new.catalogue.listed is old.catalogue.listed
        assert new.catalogue.categories is old.catalogue.categories
        assert new.tables is old.tables
        assert (later.rows.tolist(), later.revisions.tolist()) == ([2], [5])

    def test_say_which_items_changed_after_another_revision(self):
        first = apply(Live.of(first_fitted(), 0), Changes(5, [PRICIER]))
        last = apply(first, Changes(6, [NEW]))

        assert last.changed_since(0).tolist() == [2, 8]
        assert last.changed_since(5).tolist() == [8]
        rows = np.array([1, 8, 3], np.int32)
        assert last.have_changed(rows, 5)
        assert not last.have_changed(rows, 6)
        assert not last.have_changed(np.array([2], np.int32), 5)
        assert difference(last, first)[0].tolist() == difference(first, last)[0].tolist() == [8]
        assert difference(first, last)[1]
        assert not difference(Live.of(first_fitted(), 0), first)[1]

    def test_hide_forgotten_users_from_the_archive(self):
        live = apply(Live.of(first_fitted(), 0), Changes(1, forgotten=hash_ids(["bob"]).tolist()))
        live = apply(live, Changes(2, forgotten=hash_ids(["nobody"]).tolist()))

        lengths = np.diff(live.fitted.archive.read(["ann", "bob", "cat"], stale=True).offsets)
        assert lengths.tolist() == [2, 0, 2]
        assert len(first_fitted().archive.read(["bob"], stale=True).events) == 2

    def test_count_the_items_for_which_no_row_is_left(self):
        homeless = replace(NEW, row=N_ITEMS + N_SPARE + 2, revision=9)

        live = apply(Live.of(first_fitted(), 0), Changes(9, [NEW, homeless]))

        assert (live.n_without_row, live.rows.tolist()) == (3, [8])


class TestPatches:
    def test_tell_other_stages_what_differs(self):
        live = apply(Live.of(first_fitted(), 0), Changes(6, [PRICIER, NEW], kinds=KINDS))

        patch = patch_for(live, np.array([8, 1, 2, 8], np.int32))
        names = names_for(live, np.array([8, 1], np.int32))

        assert patch is not None
        assert names is not None
        assert patch.rows.tolist() == [2, 8]
        assert patch.prices.tolist() == [7.5, 3.0]
        assert patch.created_at.tolist() == [12 * 86400, AT - 1000.0]
        assert patch.categories.tolist() == [live.fitted.catalogue.categories.codes[2], 3]
        # The other lamp with a price is cheaper or dearer; the only hat has the lowest rank.
        assert patch.price_levels.tolist() == [0.0, 0.0]
        assert list(names.categories) == ["hats"]
        assert (names.rows.tolist(), list(names.item_ids)) == ([8], ["i8"])

    def test_are_none_where_nothing_differs(self):
        untouched = Live.of(first_fitted(), 0)
        live = apply(untouched, Changes(5, [PRICIER]))

        assert patch_for(untouched, np.arange(3)) is None
        assert names_for(untouched, np.arange(3)) is None
        assert patch_for(live, np.array([0, 1], np.int32)) is None

    def test_place_a_new_item_among_those_with_its_words(self):
        live = apply(Live.of(first_fitted(), 0), Changes(6, [NEW], kinds=KINDS))

        vectors = live.fitted.tables.content_vectors[np.array([8, 0, 1])]

        assert vectors[0] == pytest.approx(vectors[1], abs=0.3)
        assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
