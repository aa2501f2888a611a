import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.arrays.grouping import best, in_sorted, strongest_by_key, sum_by_key

PAIRS = st.lists(st.tuples(st.integers(0, 8), st.integers(-5, 5)), max_size=30)
DENSE, SORTED = 9, 1_000


def split(pairs):
    keys = np.array([key for key, _ in pairs], np.int64)
    return keys, np.array([value for _, value in pairs], np.float32)


@pytest.mark.parametrize("n_keys", [DENSE, SORTED])
@given(pairs=PAIRS)
def test_sums_what_belongs_together_and_leaves_out_nothing_but_zeros(n_keys, pairs):
    keys, sums = sum_by_key(*split(pairs), n_keys)

    expected = {}
    for key, value in pairs:
        expected[key] = expected.get(key, 0) + value
    found = {key: value for key, value in expected.items() if value}
    assert dict(zip(keys.tolist(), sums.tolist(), strict=True)) == found
    assert keys.tolist() == sorted(found)


@given(st.lists(st.tuples(st.integers(0, 8), st.floats(0, 1, width=32)), max_size=30))
def test_sums_are_rounded_alike_however_they_are_made(pairs):
    dense, by_sorting = (sum_by_key(*split(pairs), n_keys) for n_keys in (DENSE, SORTED))

    np.testing.assert_array_equal(dense[0], by_sorting[0])
    np.testing.assert_array_equal(dense[1], by_sorting[1])


@given(PAIRS)
def test_finds_the_first_largest_of_each(pairs):
    keys, positions = strongest_by_key(*split(pairs))

    assert keys.tolist() == sorted({key for key, _ in pairs})
    for key, position in zip(keys.tolist(), positions.tolist(), strict=True):
        largest = max(value for other, value in pairs if other == key)
        assert position == pairs.index((key, largest))


@given(st.lists(st.integers(-3, 3), max_size=20), st.integers(1, 25), st.randoms())
def test_takes_the_best_first_and_the_smaller_row_of_equals(scores, k, random):
    rows = list(range(len(scores)))
    random.shuffle(rows)

    taken = best(np.array(rows, np.int32), np.array(scores, np.float32), k)

    expected = sorted(range(len(scores)), key=lambda i: (-scores[i], rows[i]))[:k]
    assert taken.tolist() == expected


@given(st.lists(st.integers(-1, 20), max_size=20), st.sets(st.integers(0, 19)))
def test_tells_which_rows_are_in_an_ascending_array(rows, ascending):
    found = in_sorted(np.array(rows, np.int32), np.array(sorted(ascending), np.int32))

    assert found.tolist() == [row in ascending for row in rows]


def test_nothing_groups_to_nothing():
    assert [len(each) for each in sum_by_key(*split([]), DENSE)] == [0, 0]
    assert [len(each) for each in strongest_by_key(*split([]))] == [0, 0]
