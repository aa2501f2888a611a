import numpy as np
import pytest

from serve_app.arrays.ragged import offsets_of
from serve_app.fitting.moments.examples import Examples
from serve_app.fitting.training.boosting import VariantConfig, parse_booster
from serve_app.fitting.training.few_users import (
    SINGLES,
    distil_single,
    fit_log_odds,
    lean_weight,
    weigh_singles,
)
from serve_app.fitting.training.rising_trees import N_STEPS
from serve_app.recommending.scoring.boosters import predict
from serve_app.recommending.scoring.model_features import FEATURES

N_USERS, N_CANDIDATES = 40, 30
WANTED = 3


def examples_of(best, *, direction=1.0):
    """Users want the candidates to which the single score ``best`` gives much."""
    rng = np.random.default_rng(3)
    matrix = rng.random((N_USERS * N_CANDIDATES, len(FEATURES))).astype(np.float32)
    liked = direction * matrix[:, FEATURES.index(best)] + rng.normal(0, 0.1, len(matrix))
    strengths = np.where(liked > np.quantile(liked, 0.8), WANTED, 0).astype(np.uint8)
    offsets = offsets_of(np.full(N_USERS, N_CANDIDATES))
    return Examples(matrix, strengths, np.ones(len(matrix), np.float32), offsets)


class TestWeight:
    def test_falls_with_the_number_of_users(self):
        assert [lean_weight(n, 200) for n in (0, 50, 100)] == [1.0, 0.75, 0.5]

    @pytest.mark.parametrize("n_users", [200, 201, 10_000])
    def test_many_users_need_no_single(self, n_users):
        assert lean_weight(n_users, 200) == 0

    def test_no_user_is_few_where_the_setting_is_zero(self):
        assert lean_weight(3, 0) == 0


class TestWeights:
    @pytest.mark.parametrize("best", SINGLES)
    def test_the_score_that_orders_best_has_most(self, best):
        weights = weigh_singles(examples_of(best), FEATURES, N_USERS)

        assert max(weights, key=weights.get) == best
        assert sum(weights.values()) == pytest.approx(1)

    def test_more_users_trust_the_best_score_more(self):
        shares = [
            weigh_singles(examples_of(SINGLES[1]), FEATURES, n)[SINGLES[1]] for n in (0, 3, 6, 99)
        ]

        assert shares[0] == pytest.approx(1 / len(SINGLES))
        assert shares == sorted(set(shares))
        assert shares[-1] > 0.99

    def test_a_score_that_the_model_does_not_see_has_none(self):
        names = tuple(name for name in FEATURES if name != SINGLES[0])

        assert set(weigh_singles(examples_of(SINGLES[0]), names, N_USERS)) == set(SINGLES[1:])
        assert weigh_singles(examples_of(SINGLES[0]), ("item.popularity",), N_USERS) == {}

    def test_all_are_equal_where_nobody_touched_anything(self):
        examples = examples_of(SINGLES[1])
        nothing = Examples(
            examples.matrix, examples.strengths * 0, examples.shares, examples.offsets
        )

        weights = weigh_singles(nothing, FEATURES, N_USERS)

        assert list(weights.values()) == [1 / len(SINGLES)] * len(SINGLES)


class TestDistilled:
    @pytest.mark.parametrize("direction", [1.0, -1.0])
    def test_orders_by_the_single_score_whatever_chance_says(self, direction):
        examples = examples_of(SINGLES[0], direction=direction)

        scores = predict(
            parse_booster(distil_single(examples, SINGLES[0], VariantConfig())), examples.matrix
        )

        shares = examples.matrix[:, FEATURES.index(SINGLES[0])]
        order = np.argsort(shares)
        assert (np.diff(scores[order]) >= -1e-5).all()
        far = np.searchsorted(shares[order], shares[order] + 2 / N_STEPS)
        reached = far < len(order)
        assert (scores[order][far[reached]] > scores[order][reached]).all()

    def test_has_a_mean_margin_of_zero(self):
        examples = examples_of(SINGLES[0])

        booster = parse_booster(distil_single(examples, SINGLES[0], VariantConfig()))

        assert predict(booster, examples.matrix).mean() == pytest.approx(0, abs=0.02)


def test_log_odds_are_those_that_made_the_labels():
    rng = np.random.default_rng(5)
    shares = rng.random(50_000)
    labels = rng.random(50_000) < 1 / (1 + np.exp(3 - 2 * shares))

    intercept, slope = fit_log_odds(shares, labels.astype(float), np.ones(50_000))

    assert intercept == pytest.approx(-3, abs=0.1)
    assert slope == pytest.approx(2, abs=0.15)
