import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from serve_app.arrays.columns import MISSING
from serve_app.recommending.ranking.diversity import DiversityConfig, diversify

property_test = settings(max_examples=150, deadline=None)

SCORE_ORDER = DiversityConfig(mmr_lambda=1, max_per_category=None)


def pick(scores, categories, config, size=10, vectors=None, valid=None, focus=None) -> list[int]:
    """Positions picked for one request, without padding."""
    n = len(scores)
    picks = diversify(
        np.array([scores], np.float32).reshape(1, n),
        np.array([categories], np.int32).reshape(1, n),
        np.zeros((1, n, 2), np.float32) if vectors is None else np.array([vectors], np.float32),
        np.zeros((1, n), np.float32) if focus is None else np.array([focus], np.float32),
        np.ones((1, n), bool) if valid is None else np.array([valid], bool),
        np.array([size]),
        config,
    )[0]
    return picks[picks != MISSING].tolist()


class TestWorkedExamples:
    def test_takes_less_relevant_items_that_say_something_new(self):
        # Relevance 1, .8, .5, 0. The second is the first's double (similarity 1): its value
        # .5 * .8 - .5 * 1 = -.1 is below .5 * .5 - .5 * 0 = .25 of the third.
        config = DiversityConfig(mmr_lambda=0.5, max_per_category=None)
        vectors = [[1, 0], [1, 0], [0, 1], [0, 1]]

        assert pick([10, 8, 5, 0], [0, 0, 1, 1], config, 2, vectors) == [0, 2]

    def test_a_shared_category_weighs_as_much_as_equal_vectors(self):
        # For the second place: same category .4 - .1, same vector .4 - .1, neither .4 - 0.
        config = DiversityConfig(mmr_lambda=0.8, max_per_category=None)
        vectors = [[1, 0], [0, 1], [1, 0], [0, -1], [0, 0]]

        assert pick([2, 1, 1, 1, 0], [0, 0, 1, 2, 3], config, 4, vectors) == [0, 3, 1, 2]

    def test_similarity_is_the_mean_of_both_halves(self):
        # For the second place: same category .5 * .8 - .5 * .5 = .15, neither .5 * .2 = .1.
        config = DiversityConfig(mmr_lambda=0.5, max_per_category=None)

        assert pick([10, 8, 2, 0], [0, 0, 1, 2], config, 2) == [0, 1]

    def test_vectors_that_point_apart_do_not_make_up_for_a_shared_category(self):
        # For the second place: same category .5 * .6 - .5 * .5 = .05, neither .5 * .2 = .1.
        config = DiversityConfig(mmr_lambda=0.5, max_per_category=None)
        vectors = [[1, 0], [-1, 0], [0, 1], [0, 1]]

        assert pick([10, 6, 2, 0], [0, 0, 1, 2], config, 2, vectors) == [0, 2]

    def test_vectors_that_point_apart_are_worth_no_more_than_unrelated_ones(self):
        config = DiversityConfig(mmr_lambda=0.5, max_per_category=None)
        vectors = [[1, 0], [0, 1], [-1, 0]]

        assert pick([2, 1, 1], [0, 1, 2], config, 2, vectors) == [0, 1]

    def test_a_full_category_waits_for_the_others(self):
        config = DiversityConfig(mmr_lambda=1, max_per_category=2)

        assert pick([9, 8, 7, 6, 5], [0, 0, 0, 0, 1], config) == [0, 1, 4, 2, 3]

    @pytest.mark.parametrize(("size", "cap"), [(1, 2), (10, 2), (11, 3), (20, 4)])
    def test_a_longer_list_may_hold_more_of_a_category(self, size, cap):
        config = DiversityConfig(mmr_lambda=1, max_per_category=2)
        # The best are of one category, and each other item is of its own.
        picked = pick(range(40, 0, -1), [0] * 10 + list(range(1, 31)), config, size)

        assert sum(place < 10 for place in picked) == min(cap, size)

    @pytest.mark.parametrize(("focus", "cap"), [(0.0, 2), (0.25, 4), (0.5, 6), (1.0, 10)])
    def test_the_cap_grows_with_the_focus_of_the_session_on_the_category(self, focus, cap):
        config = DiversityConfig(mmr_lambda=1, max_per_category=2)
        # The best are of one category, and each other item is of its own.
        categories = [0] * 10 + list(range(1, 31))
        focuses = [focus] * 10 + [0.0] * 30

        picked = pick(range(40, 0, -1), categories, config, 10, focus=focuses)

        assert sum(place < 10 for place in picked) == cap

    def test_focus_on_one_category_leaves_the_caps_of_the_others(self):
        config = DiversityConfig(mmr_lambda=1, max_per_category=1)

        picked = pick([9, 8, 7, 6, 5], [0, 0, 1, 1, 2], config, 4, focus=[0, 0, 1, 1, 0])

        assert picked == [0, 2, 3, 4]

    def test_items_without_category_are_never_capped(self):
        config = DiversityConfig(mmr_lambda=1, max_per_category=1)

        assert pick([9, 8, 7, 6], [MISSING, MISSING, MISSING, 0], config) == [0, 1, 2, 3]

    @pytest.mark.parametrize("mmr_lambda", [0, 0.5, 1])
    def test_items_without_a_score_come_last(self, mmr_lambda):
        config = DiversityConfig(mmr_lambda=mmr_lambda, max_per_category=None)
        vectors = [[0, 1], [1, 0], [1, 0], [1, 0]]

        assert pick([np.nan, -5, -5, -5], [0, 1, 1, 1], config, 4, vectors)[-1] == 0

    def test_answers_when_nothing_has_a_score(self):
        assert pick([np.nan] * 3, [0, 1, 2], SCORE_ORDER) == [0, 1, 2]

    def test_looks_no_further_than_the_pool(self):
        config = DiversityConfig(mmr_lambda=0, max_per_category=1, pool_size=2)

        assert pick([9, 8, 7], [0, 0, 1], config, 2) == [0, 1]

    def test_the_pool_holds_as_many_as_are_wanted(self):
        config = DiversityConfig(max_per_category=1, pool_size=1)

        assert pick([9, 8, 7, 6], [0, 0, 1, 2], config, 3) == [0, 2, 1]

    def test_answers_without_candidates_and_without_requests(self):
        assert pick([], [], DiversityConfig(), vectors=np.zeros((0, 2))) == []
        nothing = np.zeros((0, 5))
        picks = diversify(
            nothing.astype(np.float32),
            nothing.astype(np.int32),
            np.zeros((0, 5, 2), np.float32),
            nothing.astype(np.float32),
            nothing.astype(bool),
            np.zeros(0, np.int32),
            DiversityConfig(),
        )
        assert picks.shape == (0, 0)

    @pytest.mark.parametrize(
        "wrong", [{"mmr_lambda": 1.1}, {"max_per_category": 0}, {"pool_size": 0}]
    )
    def test_refuses_settings_out_of_bounds(self, wrong):
        with pytest.raises(ValidationError):
            DiversityConfig(**wrong)


@st.composite
def batches(draw, max_requests=4):
    """Scores distinct within a request (NaN apart), few categories, repeated vectors.

    Focus is equal within a category.
    """
    b, m = draw(st.integers(1, max_requests)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.permuted(np.tile(np.linspace(-3, 5, m), (b, 1)), axis=1).astype(np.float32)
    if draw(st.booleans()):
        scores[rng.random((b, m)) < 0.2] = np.nan
    directions = np.vstack([np.eye(3), -np.eye(3), np.zeros((1, 3))]).astype(np.float32)
    categories = rng.integers(MISSING, 3, (b, m)).astype(np.int32)
    of_category = rng.choice([0.0, 0.0, 0.4, 1.0], (b, 4)).astype(np.float32)
    return (
        scores,
        categories,
        directions[rng.integers(0, len(directions), (b, m))],
        np.take_along_axis(of_category, categories, axis=1),
        rng.random((b, m)) < draw(st.sampled_from([0.0, 0.7, 1.0])),
        rng.integers(1, 9, b).astype(np.int32),
    )


configs = st.builds(
    DiversityConfig,
    mmr_lambda=st.sampled_from([0.0, 0.3, 0.8, 1.0]),
    max_per_category=st.sampled_from([None, 1, 2, 3]),
    pool_size=st.sampled_from([1, 3, 100]),
)
wide_pools = configs.map(lambda config: config.model_copy(update={"pool_size": 100}))


def lists(picks) -> list[list[int]]:
    return [row[row != MISSING].tolist() for row in picks]


class TestLaws:
    @property_test
    @given(batch=batches(), config=configs)
    def test_picks_as_many_valid_candidates_as_there_are_none_twice(self, batch, config):
        *_, valid, sizes = batch
        picks = diversify(*batch, config)

        assert picks.shape == (len(sizes), sizes.max())
        for i, picked in enumerate(lists(picks)):
            assert len(picked) == len(set(picked)) == min(sizes[i], valid[i].sum())
            assert valid[i, picked].all()
            assert (picks[i, len(picked) :] == MISSING).all()

    @property_test
    @given(batch=batches(), config=wide_pools)
    def test_exceeds_the_cap_only_when_all_that_is_left_would(self, batch, config):
        _, categories, _, focus, valid, sizes = batch
        cap = config.max_per_category or 10**6
        caps = np.ceil(cap + focus * np.maximum(sizes[:, None] - cap, 0.0))
        for i, picked in enumerate(lists(diversify(*batch, config))):
            n_picked, left = {}, set(np.flatnonzero(valid[i]).tolist())

            def is_full(position, i=i, n_picked=n_picked):
                category = categories[i, position]
                return category != MISSING and n_picked.get(category, 0) >= caps[i, position]

            for position in picked:
                assert not is_full(position) or all(is_full(other) for other in left)
                left.remove(position)
                category = categories[i, position]
                n_picked[category] = n_picked.get(category, 0) + 1

    @property_test
    @given(batch=batches())
    def test_is_the_order_of_the_scores_when_nothing_else_counts(self, batch):
        scores, _, _, _, valid, sizes = batch
        for i, picked in enumerate(lists(diversify(*batch, SCORE_ORDER))):
            by_score = sorted(
                np.flatnonzero(valid[i]),
                key=lambda m, i=i: (-np.nan_to_num(scores[i, m], nan=-np.inf), m),
            )
            assert picked == by_score[: sizes[i]]

    @property_test
    @given(batch=batches(max_requests=1), config=configs, seed=st.integers(0, 99))
    def test_the_order_of_the_candidates_makes_no_difference(self, batch, config, seed):
        scores, categories, vectors, focus, valid, sizes = batch
        valid = valid & ~np.isnan(scores)  # without a score, position decides
        order = np.random.default_rng(seed).permutation(scores.shape[1])

        before = diversify(scores, categories, vectors, focus, valid, sizes, config)
        shuffled = (values[:, order] for values in (scores, categories, vectors, focus, valid))
        after = diversify(*shuffled, sizes, config)

        assert lists(before)[0] == order[lists(after)[0]].tolist()

    @property_test
    @given(batch=batches(), config=configs)
    def test_requests_of_a_batch_do_not_touch_each_other(self, batch, config):
        together = lists(diversify(*batch, config))
        alone = [
            lists(diversify(*(values[i : i + 1] for values in batch), config))[0]
            for i in range(len(batch[0]))
        ]

        assert together == alone

    @property_test
    @given(batch=batches(), config=configs)
    def test_leaves_its_arguments_as_they_were(self, batch, config):
        before = [values.copy() for values in batch]
        diversify(*batch, config)

        for old, new in zip(before, batch, strict=True):
            np.testing.assert_array_equal(old, new)
