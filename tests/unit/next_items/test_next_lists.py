import numpy as np

from serve_app.evaluation.training_matrix import combinations
from serve_app.next_items.next_lists import NEXT_RIVALS, next_lists, tuned_lists
from serve_app.next_items.next_questions import not_new
from serve_app.next_items.next_training import NextRival
from tests.support.visits import N_ITEMS, known_items, side


def ignore(share):
    pass


def constant(scores):
    return lambda prefixes: np.broadcast_to(np.array(scores, float), (len(prefixes), N_ITEMS))


class TestLists:
    def test_hold_the_best_items_and_ties_go_to_the_smaller_number(self):
        lists = next_lists(constant([0, 1, 1, 5, 0, 0, 0, 0]), side().split, 3)

        assert lists.tolist() == [[3, 1, 2]] * len(side().split.questions)

    def test_hold_only_new_items_if_repeats_do_not_count(self):
        split = side(repeats=False).split
        lists = next_lists(constant(np.arange(N_ITEMS)), split, N_ITEMS)
        known = not_new(split.log, split.questions, slice(0, len(split.questions)))

        assert len(known.items) > 0
        for i, row in enumerate(lists.tolist()):
            excluded = set(known.items[slice(*known.offsets[i : i + 2])].tolist())
            assert set(row) - {-1} == set(range(N_ITEMS)) - excluded


class TestTuning:
    def test_chooses_the_point_that_wins_on_the_inner_split(self):
        # Next items are the latest one or follow it by one or two.
        def fit(training, points):
            for point in points:
                shift = point["shift"]
                yield lambda prefixes, shift=shift: np.eye(N_ITEMS)[
                    (prefixes.of_session[:, 0] + shift) % N_ITEMS
                ]

        rival = NextRival("shifting", combinations(shift=(4, 1, 6)), fit, has_units=False)
        found = tuned_lists(rival, side(), side(), 3, 10, 7, ignore)

        assert found.point == {"shift": 1}
        assert found.parameters["points"] == 3
        assert found.lists.shape == (len(side().split.questions), 3)

    def test_tries_both_units_only_where_users_come_again(self):
        rival = NEXT_RIVALS[2]
        units = {point["unit"] for point in rival.points(side().training)}

        assert units == {"session", "user"}

    def test_every_rival_scores_at_its_first_point(self):
        for rival in NEXT_RIVALS:
            found = tuned_lists(rival, side(), side(), 3, 1, 7, ignore)
            assert found.lists.min() >= 0, rival.name


def test_the_random_shop_has_questions_of_both_kinds():
    lengths = {len(items) for items in known_items("session")}

    assert {0, 1, 2} <= lengths
