import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.recommending.candidates import fusion
from serve_app.recommending.candidates.sources.query import Hits, no_hits

N_ROWS = 31


def hits(*rows, because=()):
    """The candidates that a source offers the only request."""
    scores = np.arange(len(rows), 0, -1).astype(np.float32)
    offsets = np.array([0, len(rows)])
    return Hits(np.array(rows, np.int32), scores, offsets, np.array(because, np.int32))


def merge(lists, weights, k, limit):
    return fusion.merge(lists, weights, k, limit, N_ROWS)


LISTS = st.lists(
    st.lists(st.integers(0, 30), unique=True, max_size=12).map(lambda rows: hits(*rows)),
    min_size=1,
    max_size=4,
)


def test_sums_weighted_reciprocal_ranks():
    merged = merge([hits(7, 5), hits(5)], [1.0, 2.0], k=60, limit=10)

    assert merged.rows.tolist() == [5, 7]
    assert merged.fused.tolist() == pytest.approx([1 / 62 + 2 / 61, 1 / 61])


def test_remembers_scores_and_ranks_of_each_source():
    merged = merge([hits(7, 5), hits(5)], [1, 1], k=60, limit=10)

    np.testing.assert_array_equal(merged.ranks, [[2, 1], [1, np.nan]])
    np.testing.assert_array_equal(merged.scores, [[1, 1], [2, np.nan]])


def test_remembers_what_led_to_a_candidate():
    merged = merge([hits(7, 5, because=(1, 2)), hits(9)], [1, 1], k=60, limit=10)

    led = dict(zip(merged.rows.tolist(), merged.because.tolist(), strict=True))
    assert led == {7: 1, 5: 2, 9: -1}


def test_nothing_from_nothing():
    assert len(merge([no_hits(1), no_hits(1)], [1, 1], k=60, limit=10).rows) == 0


@given(LISTS, st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_keeps_each_row_once_best_first(lists, limit):
    merged = merge(lists, [1.0] * len(lists), 60, limit)

    offered = {row for each in lists for row in each.rows.tolist()}
    assert len(merged.rows) == min(limit, len(offered))
    assert set(merged.rows.tolist()) <= offered
    assert len(set(merged.rows.tolist())) == len(merged.rows)
    assert (np.diff(merged.fused) <= 0).all()


@given(LISTS)
@settings(max_examples=50, deadline=None)
def test_a_limit_cuts_but_does_not_reorder(lists):
    weights = [1.0] * len(lists)
    everything = merge(lists, weights, 60, 1_000)

    np.testing.assert_array_equal(merge(lists, weights, 60, 5).rows, everything.rows[:5])


@given(LISTS, st.randoms())
@settings(max_examples=50, deadline=None)
def test_the_order_of_the_sources_does_not_matter(lists, random):
    shuffled = random.sample(lists, len(lists))
    weights = [1.0] * len(lists)

    a, b = merge(lists, weights, 60, 50), merge(shuffled, weights, 60, 50)

    assert set(a.rows.tolist()) == set(b.rows.tolist())
    np.testing.assert_allclose(a.fused, b.fused, rtol=1e-5)


def test_requests_are_merged_each_by_itself():
    first = Hits(
        np.array([7, 5, 5], np.int32), np.array([2, 1, 9], np.float32), np.array([0, 2, 3])
    )
    second = Hits(
        np.array([5, 8, 7], np.int32),
        np.array([3, 2, 1], np.float32),
        np.array([0, 1, 3]),
        known_keys=np.array([5, 6, N_ROWS + 5, N_ROWS + 7, N_ROWS + 8]),
        known_scores=np.array([3, 2, 0.5, 1, 2], np.float32),
    )

    merged = merge([first, second], [1.0, 1.0], 60, np.array([1, 9]))

    assert merged.offsets.tolist() == [0, 1, 4]
    assert merged.rows.tolist() == [5, 5, 8, 7]
    np.testing.assert_array_equal(merged.scores, [[1, 3], [9, 0.5], [np.nan, 2], [np.nan, 1]])
