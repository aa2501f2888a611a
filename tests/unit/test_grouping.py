import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.domain.grouping import best, best_by_row, in_sorted, sum_by_row

PAIRS = st.lists(st.tuples(st.integers(0, 8), st.integers(-5, 5)), max_size=30)


def split(pairs):
    rows = np.array([row for row, _ in pairs], np.int32)
    return rows, np.array([value for _, value in pairs], np.float32)


@given(PAIRS)
def test_sums_what_belongs_together(pairs):
    rows, sums = sum_by_row(*split(pairs))

    expected = {}
    for row, value in pairs:
        expected[row] = expected.get(row, 0) + value
    assert dict(zip(rows.tolist(), sums.tolist(), strict=True)) == expected
    assert rows.tolist() == sorted(expected)


@given(PAIRS)
def test_finds_the_largest_of_each(pairs):
    rows, positions = best_by_row(*split(pairs))

    assert rows.tolist() == sorted({row for row, _ in pairs})
    for row, position in zip(rows.tolist(), positions.tolist(), strict=True):
        assert pairs[position] == (row, max(value for other, value in pairs if other == row))


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


@pytest.mark.parametrize("grouped", [sum_by_row, best_by_row])
def test_nothing_groups_to_nothing(grouped):
    rows, others = grouped(np.empty(0, np.int32), np.empty(0, np.float32))

    assert (len(rows), len(others)) == (0, 0)
