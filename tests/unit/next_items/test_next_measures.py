from math import log2

import numpy as np
import pytest

from serve_app.arrays.columns import MISSING
from serve_app.arrays.ragged import offsets_of
from serve_app.measuring.lists import Wanted
from serve_app.next_items.next_measures import groups_of, measure_answers
from serve_app.next_items.next_questions import Questions

N_ITEMS = 10


def questions(users, known, known_in_session):
    known, in_session = np.array(known), np.array(known_in_session)
    ends = known + 100
    n = len(known)
    return Questions(
        np.array(users, np.int32),
        np.arange(n),
        np.arange(float(n)),
        ends - known,
        ends - in_session,
        ends,
    )


FOUR = questions([0, 0, 1, 2], [0, 1, 3, 12], [0, 1, 3, 12])
WANTED = Wanted(offsets_of([1, 1, 1, 2]), np.array([4, 5, 6, 7, 8], np.int32))
LISTS = {
    "first": np.array([[4, 1, 2], [1, 5, 2], [1, 2, 3], [1, 8, 7]], np.int32),
    "second": np.array([[1, 4, 2], [1, 2, 5], [6, 2, 3], [1, 2, MISSING]], np.int32),
}


def measured(n_resamples=200, which=FOUR):
    return measure_answers(LISTS, which, WANTED, N_ITEMS, (3,), ("first",), n_resamples, 7)


def means(group, model):
    return {name: found.mean for name, found in measured().models[group][model].items()}


class TestFigures:
    def test_are_means_over_questions(self):
        assert means("all", "first") == pytest.approx(
            {
                "hit_rate@3": 3 / 4,
                "mrr@3": (1 + 1 / 2 + 0 + 1 / 2) / 4,
                "ndcg@3": (1 + 1 / log2(3) + 0 + (1 / log2(3) + 1 / 2) / (1 + 1 / log2(3))) / 4,
            }
        )

    def test_of_a_group_are_means_over_its_questions(self):
        assert means("known 1+", "first")["hit_rate@3"] == pytest.approx(2 / 3)
        assert means("known 0", "second")["mrr@3"] == pytest.approx(1 / 2)
        assert means("known 2-3", "second")["mrr@3"] == pytest.approx(1)

    def test_have_intervals_over_users_with_all_of_their_questions(self):
        one_user = measured(which=questions([0] * 4, [0, 1, 3, 12], [0, 1, 3, 12]))
        low, high = one_user.models["all"]["first"]["mrr@3"][1:]
        assert (low, high) == pytest.approx((0.5, 0.5)), "each resample holds the user"

        found = measured().models["all"]["first"]["mrr@3"]
        # Users have sums (1.5, 0, 0.5) of (2, 1, 1) questions.
        assert found.low == pytest.approx(0)
        assert found.high == pytest.approx(0.75)

    def test_are_compared_in_pairs(self):
        pair = measured().comparisons["all"]["first"]["second"]

        assert pair.difference["mrr@3"].mean == pytest.approx(0.5 - (1 / 2 + 1 / 3 + 1) / 4)
        assert "mrr@3" not in pair.ratio, "the user 2 alone gives the second model zero"

    def test_have_ratios_where_the_other_is_never_zero(self):
        pair = measured().comparisons["known 0"]["first"]["second"]

        assert pair.ratio["mrr@3"] == pytest.approx((2, 2, 2))


class TestGroups:
    def test_part_the_questions_by_known_events(self):
        known = [0, 1, 2, 3, 4, 9, 10, 500]
        groups = groups_of(questions([0] * 8, known, known))

        assert {name: np.flatnonzero(mask).tolist() for name, mask in groups.items()} == {
            "all": [0, 1, 2, 3, 4, 5, 6, 7],
            "known 1+": [1, 2, 3, 4, 5, 6, 7],
            "known 0": [0],
            "known 1": [1],
            "known 2-3": [2, 3],
            "known 4-9": [4, 5],
            "known 10+": [6, 7],
        }

    def test_part_them_by_events_of_the_session_where_users_come_again(self):
        groups = groups_of(questions([0, 0], [5, 6], [0, 1]))

        assert [*groups] == ["all", "known 1+", "known 4-9", "session 0", "session 1"]
        assert groups["session 1"].tolist() == [False, True]

    def test_do_not_part_sessions_that_are_asked_for_at_their_start(self):
        assert [*groups_of(questions([0, 0], [5, 6], [0, 0]))] == ["all", "known 1+", "known 4-9"]
