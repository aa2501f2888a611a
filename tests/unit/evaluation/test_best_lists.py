import numpy as np

from serve_app.arrays.columns import MISSING
from serve_app.evaluation.best_lists import best_items, fuse
from serve_app.evaluation.protocol import ProtocolConfig, split_at_share
from tests.support.hand_made_logs import demo_shop, log_of

# Ann and Bob each have one of four items and want another.
SPLIT = split_at_share(
    log_of(
        ("ann", 0, "purchase", 1), ("bob", 1, "purchase", 1), ("cas", 2, "purchase", 1),
        ("cas", 3, "purchase", 1), ("ann", 1, "purchase", 2), ("bob", 0, "purchase", 2),
    ),
    ProtocolConfig(test_share=0.3, min_buyers=1),
)  # fmt: skip


def same(*scores):
    return lambda users: np.tile(np.array(scores, float), (len(users), 1))


class TestBestItems:
    def test_are_ordered_by_score_without_excluded_items(self):
        lists = best_items(same(0.4, 0.3, 0.2, 0.9), SPLIT, 3)

        assert lists.tolist() == [[3, 1, 2], [3, 0, 2]]

    def test_break_ties_by_number(self):
        assert best_items(same(1, 1, 1, 1), SPLIT, 2).tolist() == [[1, 2], [0, 2]]

    def test_end_with_missing_where_no_item_is_left(self):
        lists = best_items(same(0.4, 0.3, 0.2, 0.1), SPLIT, 50)

        assert lists.tolist() == [[1, 2, 3, MISSING], [0, 2, 3, MISSING]]

    def test_do_not_change_the_scores_of_the_scorer(self):
        scores = np.zeros((3, 4), np.float32)
        best_items(lambda users: scores[: len(users)], SPLIT, 2)

        assert not scores.any()

    def test_equal_a_full_sort(self):
        split = split_at_share(demo_shop()[2], ProtocolConfig())
        scores = np.random.default_rng(0).integers(
            0, 9, (split.training.n_users, split.training.n_items)
        )
        lists = best_items(lambda users: scores[users], split, 15)

        for i, user in enumerate(split.users):
            start, stop = split.excluded.offsets[i : i + 2]
            bought = set(split.excluded.items[start:stop].tolist())
            order = sorted(
                range(split.training.n_items), key=lambda item: (-scores[user, item], item)
            )
            assert lists[i].tolist() == [item for item in order if item not in bought][:15]


class TestFuse:
    def test_sums_the_reciprocal_ranks(self):
        one = np.array([[0, 1, 2]], np.int32)
        other = np.array([[2, 0, MISSING]], np.int32)

        # 1/2 + 1/3 for item 0, 1/2 + 1/4 for item 2, 1/3 for item 1.
        assert fuse([one, other], 5, 4, 1.0).tolist() == [[0, 2, 1, MISSING]]

    def test_is_the_list_itself_for_one_source(self):
        lists = np.array([[4, 2, 3], [0, 1, MISSING]], np.int32)

        np.testing.assert_array_equal(fuse([lists], 6, 3, 10.0), lists)
