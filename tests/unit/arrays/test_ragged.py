import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.arrays.ragged import (
    best_of_each,
    gather,
    offsets_of,
    owners,
    pad,
    positions_within,
    sum_of_each,
)
from serve_app.arrays.sorting import largest_first

property_test = settings(max_examples=150, deadline=None)

FILL = -1

lists_of_numbers = st.lists(st.lists(st.integers(0, 99), max_size=5), max_size=6)


def flat(lists):
    """Values and offsets of some lists."""
    values = np.array([value for values in lists for value in values], np.int32)
    return values, offsets_of([len(values) for values in lists])


def unflat(values, offsets) -> list[list[int]]:
    return [part.tolist() for part in np.split(values, offsets[1:-1])] if len(offsets) > 1 else []


@property_test
@given(lists_of_numbers)
def test_offsets_cut_the_values_into_the_lists_they_came_from(lists):
    values, offsets = flat(lists)

    assert offsets.dtype == np.int64
    assert offsets.shape == (len(lists) + 1,)
    assert unflat(values, offsets) == lists


@property_test
@given(lists_of_numbers)
def test_owner_and_position_lead_back_to_each_value(lists):
    values, offsets = flat(lists)
    places = zip(owners(offsets), positions_within(offsets), strict=True)

    assert [lists[i][k] for i, k in places] == values.tolist()


@property_test
@given(lists_of_numbers, st.data())
def test_gathers_lists_in_any_order_and_more_than_once(lists, data):
    values, offsets = flat(lists)
    some = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=8) if lists else st.just([]))
    positions, taken = gather(offsets, np.array(some, np.int32))

    assert unflat(values[positions], taken) == [lists[i] for i in some]


@property_test
@given(lists_of_numbers, st.integers(0, 6))
def test_pads_short_lists_and_cuts_long_ones(lists, width):
    values, offsets = flat(lists)
    padded = pad(values, offsets, width, FILL)

    assert padded.dtype == values.dtype
    assert padded.shape == (len(lists), width)
    assert padded.tolist() == [row[:width] + [FILL] * (width - len(row[:width])) for row in lists]


def test_no_lists_at_all():
    offsets = offsets_of([])

    assert offsets.tolist() == [0]
    assert owners(offsets).shape == (0,)
    assert positions_within(offsets).shape == (0,)
    assert pad(np.zeros(0, np.float32), offsets, 3, 0).shape == (0, 3)
    positions, taken = gather(offsets, np.zeros(0, np.int64))
    assert (positions.tolist(), taken.tolist()) == ([], [0])


@property_test
@given(lists_of_numbers, st.data())
def test_the_best_of_each_list_come_first_and_equal_ones_in_their_order(lists, data):
    values, offsets = flat(lists)
    limits = data.draw(
        st.lists(st.integers(0, 6), min_size=len(lists), max_size=len(lists)) | st.integers(0, 6)
    )

    places, taken = best_of_each(
        values % 5 + 0.0, offsets, limits if isinstance(limits, int) else np.array(limits, int)
    )

    each = [limits] * len(lists) if isinstance(limits, int) else limits
    expected = [
        sorted(range(start, start + len(one)), key=lambda i: -(values[i] % 5))[:limit]
        for one, start, limit in zip(lists, offsets[:-1].tolist(), each, strict=True)
    ]
    assert unflat(places, taken) == expected


ANY_NUMBERS = st.floats(width=32, allow_nan=False) | st.sampled_from([0.0, -0.0, 1.0, -1.0])


@property_test
@given(st.lists(st.lists(ANY_NUMBERS, max_size=5), max_size=6), st.integers(0, 6))
def test_the_best_are_the_same_whether_numbers_or_positions_are_sorted(lists, limit):
    scores = np.array([score for scores in lists for score in scores], np.float32)
    offsets = offsets_of([len(scores) for scores in lists])

    places, taken = best_of_each(scores, offsets, limit)
    by_position, taken_by_position = best_of_each(scores.astype(float), offsets, limit)

    assert unflat(places, taken) == unflat(by_position, taken_by_position)


def test_more_lists_than_one_number_has_room_for_are_ordered_too():
    scores, n_lists = np.array([1, 3, 2], np.float32), 2**31
    lists = np.array([0, 0, n_lists])

    assert largest_first(scores, lists).tolist() == [1, 0, 2]


@property_test
@given(lists_of_numbers)
def test_rows_are_summed_list_by_list(lists):
    values, offsets = flat(lists)

    sums = sum_of_each(np.column_stack((values, 2 * values)), offsets)

    assert sums.tolist() == [[sum(one), 2 * sum(one)] for one in lists]
