import numpy as np
import pytest
import xgboost

from serve_app.fitting.training.averaging import average_boosters
from serve_app.fitting.training.boosting import parse_booster
from serve_app.recommending.scoring.boosters import predict

ROWS = np.random.default_rng(0).random((400, 3)).astype(np.float32)


def model_of(objective, seed, n_trees=4):
    labels = ROWS[:, 0] + ROWS[:, 1] > 1
    data = xgboost.DMatrix(ROWS, labels, group=[20] * 20 if "rank" in objective else None)
    settings = {"objective": objective, "seed": seed, "subsample": 0.5, "nthread": 1}
    return bytes(xgboost.train(settings, data, n_trees).save_raw("ubj"))


def margins_of(model):
    booster = parse_booster(model)
    return booster.inplace_predict(ROWS, predict_type="margin", validate_features=False)


def test_averages_the_margins_of_models_of_one_objective():
    models = [model_of("binary:logistic", seed) for seed in (1, 2, 3)]

    whole = average_boosters(models)

    expected = np.mean([margins_of(model) for model in models], axis=0)
    np.testing.assert_allclose(margins_of(whole), expected, rtol=1e-5, atol=1e-6)
    probabilities = parse_booster(whole).inplace_predict(ROWS, validate_features=False)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-expected)), rtol=1e-5)


def test_weights_say_how_much_of_each_model_counts():
    models = [model_of("binary:logistic", seed) for seed in (1, 2)]

    whole = average_boosters(models, [0.75, 0.25])

    expected = 0.75 * margins_of(models[0]) + 0.25 * margins_of(models[1])
    np.testing.assert_allclose(np.ptp(margins_of(whole) - expected), 0, atol=1e-5)


def test_models_of_several_objectives_order_by_the_mean_of_their_margins():
    models = [model_of("binary:logistic", 1), model_of("rank:ndcg", 1)]

    scores = predict(parse_booster(average_boosters(models)), ROWS)

    difference = scores - np.mean([margins_of(model) for model in models], axis=0)
    np.testing.assert_allclose(difference, difference[0], atol=1e-6)
    assert np.ptp(scores) > 1, "not squeezed into probabilities"


def test_holds_the_trees_of_all():
    whole = average_boosters([model_of("binary:logistic", 1, 4), model_of("rank:ndcg", 1, 7)])

    assert parse_booster(whole).num_boosted_rounds() == 11


def test_each_model_counts_alike_in_what_features_gained():
    whole = parse_booster(
        average_boosters([model_of("binary:logistic", 1), model_of("rank:ndcg", 1)])
    )

    assert sum(whole.get_score(importance_type="total_gain").values()) == pytest.approx(2.0)


def test_a_model_without_a_split_does_not_disturb_the_others():
    flat = model_of("binary:logistic", 1, 1)
    stump = xgboost.train(
        {"objective": "binary:logistic", "gamma": 1e9, "nthread": 1},
        xgboost.DMatrix(ROWS, ROWS[:, 0] > 0.5),
        2,
    )

    whole = average_boosters([bytes(stump.save_raw("ubj")), flat])

    assert np.isfinite(margins_of(whole)).all()


def test_one_model_stays_as_it_is():
    model = model_of("binary:logistic", 1)

    assert average_boosters([model]) == model


def test_the_same_models_give_the_same_bytes():
    models = [model_of("binary:logistic", 1), model_of("rank:ndcg", 1)]

    assert average_boosters(models) == average_boosters(models)
