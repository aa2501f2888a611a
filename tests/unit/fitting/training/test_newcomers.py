import numpy as np
import pytest

from serve_app.arrays.ragged import offsets_of
from serve_app.fitting.moments.examples import Examples
from serve_app.fitting.training.boosting import BINARY, VariantConfig, parse_booster, train_boosters
from serve_app.fitting.training.newcomers import (
    Popularity,
    lean_on_popularity,
    popularity_slope,
)
from serve_app.fitting.training.rising_trees import N_STEPS
from serve_app.recommending.scoring.boosters import predict
from serve_app.recommending.scoring.model_features import FEATURES

N_CANDIDATES = 30
EVENTS, POPULARITY = (FEATURES.index(name) for name in ("candidate.log_events", "item.popularity"))


def examples_of(n_events):
    """Lists of users with so many events, who want any of their candidates."""
    rng = np.random.default_rng(3)
    matrix = rng.random((len(n_events) * N_CANDIDATES, len(FEATURES))).astype(np.float32)
    matrix[:, EVENTS] = np.repeat(np.log1p(n_events), N_CANDIDATES)
    matrix[:, POPULARITY] *= 5
    strengths = (rng.random(len(matrix)) < 0.2).astype(np.uint8)
    offsets = offsets_of(np.full(len(n_events), N_CANDIDATES))
    return Examples(matrix, strengths, np.ones(len(matrix), np.float32), offsets)


@pytest.fixture(scope="module")
def examples():
    return examples_of([0, 1, 7] * 10)


def train(examples, config):
    [model] = train_boosters(examples, config, BINARY, 1, 1)
    return model


def score(model, matrix, config=None):
    names = (config or VariantConfig()).feature_names
    return predict(parse_booster(model), matrix[:, [FEATURES.index(name) for name in names]])


class TestSlope:
    def test_falls_with_the_number_of_newcomers(self):
        assert [popularity_slope(n, 1_000) for n in (0, 250, 500)] == [10, 7.5, 5]

    @pytest.mark.parametrize("n_newcomers", [1_000, 1_001, 50_000])
    def test_many_newcomers_need_no_popularity(self, n_newcomers):
        assert popularity_slope(n_newcomers, 1_000) == 0

    def test_no_newcomers_are_few_where_the_setting_is_zero(self):
        assert popularity_slope(0, 0) == 0


class TestLean:
    config = VariantConfig(n_trees=5, n_models=1, few_newcomers=40)

    def test_newcomers_scores_rise_with_popularity(self, examples):
        model = train(examples, self.config)
        is_new = examples.matrix[:, EVENTS] == 0

        leant = lean_on_popularity(examples, self.config).join(model)

        numbers = examples.matrix[is_new, POPULARITY]
        added = (score(leant, examples.matrix) - score(model, examples.matrix))[is_new]
        # 10 of 40 newcomers.
        rising = numbers > np.quantile(numbers, 0.1)
        expected = 7.5 * (numbers - numbers.max())
        assert added[rising] == pytest.approx(expected[rising], abs=7.5 * 5.5 / N_STEPS)
        assert added.max() <= 7.5 * 5.5 / N_STEPS

    def test_tells_items_apart_that_are_more_popular_than_any_before(self, examples):
        model = train(examples, self.config)
        rows = np.repeat(examples.matrix[:1], 2, axis=0)
        rows[:, EVENTS] = 0
        rows[:, POPULARITY] = examples.matrix[:, POPULARITY].max() + np.array([0.1, 0.3])

        low, high = score(lean_on_popularity(examples, self.config).join(model), rows)

        assert high > low + 1

    def test_needs_no_newcomers_to_learn_from(self):
        examples = examples_of([1, 7] * 10)
        model = train(examples, self.config)
        rows = np.repeat(examples.matrix[:1], 2, axis=0)
        rows[:, EVENTS] = 0
        rows[:, POPULARITY] = [2, 4]

        low, high = score(lean_on_popularity(examples, self.config).join(model), rows)

        assert high > low + 10

    def test_scores_of_users_with_one_event_stay(self, examples):
        model = train(examples, self.config)
        is_known = examples.matrix[:, EVENTS] > 0

        leant = lean_on_popularity(examples, self.config).join(model)

        known = examples.matrix[is_known]
        assert (score(leant, known) == score(model, known)).all()

    def test_adds_nothing_where_newcomers_are_enough(self, examples):
        config = self.config.model_copy(update={"few_newcomers": 10})

        assert lean_on_popularity(examples, config) == Popularity(None)

    @pytest.mark.parametrize(
        "hidden", [{"candidate.log_events"}, {"item.popularity", "candidate.popular_score"}]
    )
    def test_adds_nothing_to_a_model_that_does_not_see_the_numbers(self, examples, hidden):
        names = tuple(name for name in FEATURES if name not in hidden)
        config = self.config.model_copy(update={"features": names})

        assert lean_on_popularity(examples, config) == Popularity(None)

    @pytest.mark.parametrize("popularity", ["item.popularity", "candidate.popular_score"])
    def test_finds_the_columns_of_a_model_with_fewer_features(self, examples, popularity):
        names = ("item.log_price", popularity, "candidate.log_events")
        config = self.config.model_copy(update={"features": names})
        matrix = examples.matrix.copy()
        of_popular = FEATURES.index("candidate.popular_score")
        # Items outside of the list of popular ones have no such score.
        matrix[:, of_popular] = np.where(matrix[:, POPULARITY] > 1, matrix[:, POPULARITY], np.nan)
        some = Examples(matrix, examples.strengths, examples.shares, examples.offsets)
        rows = matrix[np.argsort(matrix[:, POPULARITY])[[0, -1]]]
        rows[:, EVENTS] = 0

        leant = lean_on_popularity(some, config).join(train(some, config))

        low, high = score(leant, rows, config)
        assert high - low > 4

    def test_joins_no_model_where_nothing_was_added(self, examples):
        assert Popularity(None).join(b"model") == b"model"
