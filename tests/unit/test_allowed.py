import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.domain import allowed as allowed_module
from serve_app.domain.allowed import Allowed, AllowedItems
from serve_app.domain.filter_parsing import parse_filter
from serve_app.domain.filters import filter_mask
from tests.worlds import small_world

CATALOGUE = small_world().catalogue
NOTHING = np.empty(0, np.int32)
TYPES = {name: type(column) for name, column in CATALOGUE.columns.items()}


def cheaper_than(price):
    return parse_filter({"price": {"lt": price}}, TYPES)


class TestAllowed:
    @given(
        ordered=st.permutations(range(60)),
        shown=st.sets(st.integers(0, 59)),
        excluded=st.sets(st.integers(0, 59)),
        k=st.integers(0, 70),
    )
    @settings(max_examples=150)
    def test_the_first_are_those_of_all_that_may_be_shown(self, ordered, shown, excluded, k):
        mask = np.zeros(60, bool)
        mask[list(shown)] = True
        allowed = Allowed(mask, np.array(sorted(excluded), np.int32))

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(allowed_module, "_FIRST_CHUNK", 4)
            first = allowed.first(np.array(ordered, np.int32), k)

        may_be_shown = [row for row in ordered if row in shown - excluded]
        assert first.tolist() == may_be_shown[:k]
        assert first.dtype == np.int32

    def test_looks_no_further_than_needed(self):
        looked_at = []

        class Watched(np.ndarray):
            def __getitem__(self, key):
                looked_at.append(len(key))
                return np.asarray(self)[key]

        mask = np.ones(100_000, bool).view(Watched)

        first = Allowed(mask, NOTHING).first(np.arange(100_000, dtype=np.int32), 10)

        assert first.tolist() == list(range(10))
        assert sum(looked_at) < 2_000

    def test_nothing_is_the_first_of_nothing(self):
        assert Allowed(np.ones(3, bool), NOTHING).first(NOTHING, 5).tolist() == []


class TestAllowedItems:
    def test_without_a_filter_everything_that_can_be_bought(self):
        found = AllowedItems(CATALOGUE).for_request(None, NOTHING)

        assert found.mask.tolist() == (CATALOGUE.listed & CATALOGUE.in_stock).tolist()

    def test_items_out_of_stock_when_they_are_wanted(self):
        found = AllowedItems(CATALOGUE, include_out_of_stock=True).for_request(None, NOTHING)

        assert found.mask.tolist() == CATALOGUE.listed.tolist()

    def test_a_filter_narrows_what_can_be_bought(self):
        found = AllowedItems(CATALOGUE).for_request(cheaper_than(20), NOTHING)

        expected = CATALOGUE.sellable & filter_mask(cheaper_than(20), CATALOGUE)
        assert 0 < expected.sum() < CATALOGUE.sellable.sum()
        assert found.mask.tolist() == expected.tolist()

    def test_a_mask_is_made_once_for_equal_filters(self):
        items = AllowedItems(CATALOGUE)

        first, second = (items.for_request(cheaper_than(20), NOTHING).mask for _ in range(2))

        assert first is second

    def test_the_masks_used_last_are_kept(self):
        items = AllowedItems(CATALOGUE, n_kept=2)
        first = items.for_request(cheaper_than(1), NOTHING).mask
        second = items.for_request(cheaper_than(2), NOTHING).mask
        items.for_request(cheaper_than(1), NOTHING)
        items.for_request(cheaper_than(3), NOTHING)

        assert items.for_request(cheaper_than(1), NOTHING).mask is first
        assert items.for_request(cheaper_than(2), NOTHING).mask is not second

    def test_what_a_user_must_not_see_does_not_touch_the_next_one(self):
        items = AllowedItems(CATALOGUE)
        row = int(np.flatnonzero(CATALOGUE.sellable)[0])

        mine = items.for_request(None, np.array([row], np.int32))
        yours = items.for_request(None, NOTHING)

        assert not mine.keeps(np.array([row]))[0]
        assert yours.keeps(np.array([row]))[0]
