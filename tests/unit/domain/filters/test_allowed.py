import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.domain.filters import allowed as allowed_module
from serve_app.domain.filters import walks as walks_module
from serve_app.domain.filters.allowed import Allowed
from serve_app.domain.filters.allowed_items import AllowedItems
from serve_app.domain.filters.masks import filter_mask
from serve_app.domain.filters.parsing import parse_filter
from serve_app.domain.filters.walks import Walks
from tests.support.small_world import small_world

CATALOGUE = small_world().fitted.catalogue
NOTHING = np.empty(0, np.int32)
TYPES = {name: type(column) for name, column in CATALOGUE.columns.items()}


NO_KEYS = np.empty(0, np.int64)

FIRST = np.zeros(1, np.int64)
"""The number of the only request."""


def allowing(mask, excluded=()):
    """The items that one request may show."""
    return Allowed.of((mask,), np.zeros(1, int), np.array(excluded, np.int64))


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
        allowed = allowing(mask, sorted(excluded))

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(allowed_module, "_LEAST_CHUNK", 4 - 2 * k)
            first, _ = allowed.first(np.array(ordered, np.int32), k)

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

        first, _ = allowing(mask).first(np.arange(100_000, dtype=np.int32), 10)

        assert first.tolist() == list(range(10))
        assert sum(looked_at) < 2_000

    @pytest.mark.parametrize("n_shown", [3, 40_000], ids=["narrow", "late"])
    def test_reads_a_long_order_once_for_all_requests_of_a_mask(self, n_shown):
        n, n_requests, looked_at = 200_000, 64, []

        class Watched(np.ndarray):
            def __getitem__(self, key):
                looked_at.append(len(key))
                return np.asarray(self)[key]

        mask = np.zeros(n, bool)
        mask[-n_shown:] = True
        allowed = Allowed.of(
            (mask.view(Watched),), np.zeros(n_requests, int), np.array([n - n_shown])
        )
        order = np.arange(n, dtype=np.int32)

        rows, offsets = allowed.first(order, 10)
        allowed.first(order, 10)

        expected = list(range(n - n_shown, n))
        assert rows[: offsets[1]].tolist() == expected[1:11]
        assert rows[offsets[1] : offsets[2]].tolist() == expected[:10]
        assert (np.diff(offsets)[1:] == min(n_shown, 10)).all()
        beginnings = 2 * n_requests * 2 * allowed_module._LONGEST_CHUNK
        assert sum(looked_at) < n + beginnings

    def test_nothing_is_the_first_of_nothing(self):
        assert allowing(np.ones(3, bool)).first(NOTHING, 5)[0].tolist() == []


class TestAllowedOfABatch:
    ALLOWED = Allowed.of(
        (np.array([True, True, False, True]), np.array([False, True, True, True])),
        np.array([0, 1, 0]),
        np.array([1, 4 + 3, 8 + 0, 8 + 3], np.int64),
    )
    """Of four items the first and third may show all but the third, the second all but the first;
    their users must not see item 1, item 3, and items 0 and 3."""

    def test_each_request_has_its_mask_and_its_exclusions(self):
        rows, offsets = self.ALLOWED.first(np.array([3, 2, 1, 0], np.int32), 4)

        assert [part.tolist() for part in np.split(rows, offsets[1:-1])] == [[3, 0], [2, 1], [1]]

    def test_each_stretch_has_its_request_and_its_limit(self):
        ordered = np.array([0, 1, 2, 3, 3, 2, 1, 0], np.int32)
        starts, ends = np.array([0, 4, 4, 8]), np.array([4, 8, 8, 8])

        rows, offsets = self.ALLOWED.first_within(
            ordered, starts, ends, np.array([0, 0, 1, 2]), np.array([1, 9, 1, 9])
        )

        found = [part.tolist() for part in np.split(rows, offsets[1:-1])]
        assert found == [[0], [3, 0], [2], []]

    def test_ascending_rows_are_kept_as_any_others(self):
        requests, rows = np.repeat([0, 1, 2], 4), np.tile(np.arange(4, dtype=np.int32), 3)

        kept = self.ALLOWED.keeps_ascending(requests * 4 + rows, requests, rows)

        assert kept.tolist() == self.ALLOWED.keeps(requests, rows).tolist()
        assert kept.sum() == 5


class TestWalks:
    @given(
        shown=st.lists(st.sets(st.integers(0, 299)), min_size=1, max_size=3),
        requests=st.lists(
            st.tuples(st.integers(0, 2), st.integers(0, 300), st.integers(0, 300)), max_size=6
        ),
        excluded=st.sets(st.integers(0, 299), max_size=20),
        limits=st.lists(st.integers(0, 40), min_size=6, max_size=6),
        order=st.randoms(use_true_random=False),
    )
    @settings(max_examples=150)
    def test_find_what_a_plain_loop_finds(self, shown, requests, excluded, limits, order):
        ordered = list(range(300))
        order.shuffle(ordered)
        masks = np.zeros((len(shown), 300), bool)
        for mask, rows in zip(masks, shown, strict=True):
            mask[list(rows)] = True
        mask_of = np.array([mask % len(shown) for mask, _, _ in requests], int)
        keys = [i * 300 + row for i in range(len(requests)) for row in sorted(excluded)]
        starts, ends = (np.array([each[i] for each in requests], int) for i in (1, 2))
        allowed = Allowed.of(tuple(masks), mask_of, np.array(keys, np.int64))

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(allowed_module, "_LEAST_CHUNK", 1)
            patched.setattr(allowed_module, "_LONGEST_CHUNK", 4)
            patched.setattr(walks_module, "_CHUNK", 7)
            patched.setattr(walks_module, "_SPARE", 1)
            for n_asked in (3, 40):  # The second question walks on where the first one ended.
                asked = np.minimum(limits[: len(requests)], n_asked)
                rows, offsets = allowed.first_within(
                    np.array(ordered, np.int32), starts, ends, np.arange(len(requests)), asked
                )
                for i, (mask, start, end) in enumerate(requests):
                    expected = [
                        row
                        for row in ordered[start:end]
                        if row in shown[mask % len(shown)] - excluded
                    ]
                    found = rows[offsets[i] : offsets[i + 1]].tolist()
                    assert found == expected[: asked[i]]

    def test_read_no_further_than_needed(self):
        mask = np.ones(1_000_000, bool)
        order = np.arange(1_000_000, dtype=np.int32)
        walks = Walks(mask)

        assert walks.first(order, 100, 1_000_000, 5).tolist() == list(range(100, 105))
        assert walks.n_bytes <= 4 * walks_module._CHUNK

    def test_tell_two_orders_apart_although_the_first_is_forgotten_by_its_owner(self):
        walks = Walks(np.ones(10, bool))

        for first in range(10):
            order = np.roll(np.arange(10, dtype=np.int32), first)
            assert walks.first(order, 0, 10, 10).tolist() == order.tolist()


class TestAllowedItems:
    def test_without_a_filter_everything_that_can_be_bought(self):
        found = AllowedItems(CATALOGUE).for_request(None, NOTHING)

        assert found.masks[0].tolist() == (CATALOGUE.listed & CATALOGUE.in_stock).tolist()

    def test_items_out_of_stock_when_they_are_wanted(self):
        found = AllowedItems(CATALOGUE, include_out_of_stock=True).for_request(None, NOTHING)

        assert found.masks[0].tolist() == CATALOGUE.listed.tolist()

    def test_a_filter_narrows_what_can_be_bought(self):
        found = AllowedItems(CATALOGUE).for_request(cheaper_than(20), NOTHING)

        expected = CATALOGUE.sellable & filter_mask(cheaper_than(20), CATALOGUE)
        assert 0 < expected.sum() < CATALOGUE.sellable.sum()
        assert found.masks[0].tolist() == expected.tolist()

    def test_a_mask_is_made_once_for_equal_filters(self):
        items = AllowedItems(CATALOGUE)

        first, second = (items.for_request(cheaper_than(20), NOTHING).masks[0] for _ in range(2))

        assert first is second

    def test_the_masks_used_last_are_kept_within_a_bound_of_bytes(self):
        items = AllowedItems(CATALOGUE, max_bytes=3 * len(CATALOGUE))
        first = items.for_request(cheaper_than(1), NOTHING).masks[0]
        second = items.for_request(cheaper_than(2), NOTHING).masks[0]
        items.for_request(cheaper_than(1), NOTHING)
        items.for_request(cheaper_than(3), NOTHING)

        assert items.for_request(cheaper_than(1), NOTHING).masks[0] is first
        assert items.for_request(cheaper_than(2), NOTHING).masks[0] is not second

    def test_long_filters_count_as_memory_too(self):
        items = AllowedItems(CATALOGUE, max_bytes=100_000)
        ids = [f"{number:0100d}" for number in range(1_000)]

        long = parse_filter({"item_id": {"not_in": ids[:300]}}, TYPES)
        first = items.for_request(long, NOTHING).masks[0]
        longer = parse_filter({"item_id": {"not_in": ids[300:600]}}, TYPES)
        items.for_request(longer, NOTHING)
        # A batch gets the masks that it needs, even if they are larger than what may be kept.
        items.for_requests([long, longer, None], NO_KEYS)

        assert items.for_request(long, NOTHING).masks[0] is first
        items.for_request(parse_filter({"item_id": {"not_in": ids[:900]}}, TYPES), NOTHING)
        assert items.for_request(long, NOTHING).masks[0] is not first

    def test_what_walks_found_counts_from_the_next_batch_on(self):
        items = AllowedItems(CATALOGUE, max_bytes=3 * len(CATALOGUE))
        found = items.for_request(cheaper_than(1e9), NOTHING)
        found.walks[0].first(np.arange(len(CATALOGUE), dtype=np.int32), 0, len(CATALOGUE), 300)
        items.for_request(cheaper_than(1e9), NOTHING)
        items.for_request(cheaper_than(1), NOTHING)

        assert items.for_request(cheaper_than(1e9), NOTHING).masks[0] is not found.masks[0]

    def test_what_a_user_must_not_see_does_not_touch_the_next_one(self):
        items = AllowedItems(CATALOGUE)
        row = int(np.flatnonzero(CATALOGUE.sellable)[0])

        mine = items.for_request(None, np.array([row], np.int32))
        yours = items.for_request(None, NOTHING)

        assert not mine.keeps(FIRST, np.array([row]))[0]
        assert yours.keeps(FIRST, np.array([row]))[0]
