import numpy as np
import pytest
import xgboost

from serve_app.recommending.scoring import trees
from serve_app.recommending.scoring.boosters import predict, scoring_of
from serve_app.recommending.scoring.trees import MAX_DEPTH, is_compiled, scores_of, trees_of

compiled = pytest.mark.skipif(
    not is_compiled(), reason="no C compiler when this package was installed"
)
N_FEATURES = 12


def rows_of(n, seed=0):
    """A fifth of the numbers is missing, and some are infinite."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n, N_FEATURES)).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.2] = np.nan
    matrix[rng.random(matrix.shape) < 0.01] = np.inf
    return matrix


def booster_of(objective="binary:logistic", depth=3, n_trees=40, **settings):
    matrix = np.nan_to_num(rows_of(2_000), nan=np.nan, posinf=9.0)
    labels = np.nansum(matrix[:, :4], axis=1) > 1
    data = xgboost.DMatrix(matrix, labels, group=[20] * 100 if "rank" in objective else None)
    parameters = {"objective": objective, "max_depth": depth, "nthread": 1, **settings}
    return xgboost.train(parameters, data, n_trees)


@compiled
@pytest.mark.parametrize("objective", ["binary:logistic", "rank:ndcg", "rank:pairwise"])
@pytest.mark.parametrize("depth", [1, 2, 3, MAX_DEPTH])
def test_scores_are_those_of_xgboost(objective, depth):
    booster, matrix = booster_of(objective, depth), rows_of(1_000, seed=1)

    scores = scores_of(trees_of(booster.save_raw("json")), matrix)

    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, predict(booster, matrix))


@compiled
@pytest.mark.parametrize("n_rows", [0, 1, 511, 512, 513, 1_200])
def test_an_answer_does_not_depend_on_how_many_are_asked_for(n_rows):
    model = trees_of(booster_of().save_raw("json"))
    matrix = rows_of(1_200)

    np.testing.assert_array_equal(
        scores_of(model, matrix[:n_rows]), scores_of(model, matrix)[:n_rows]
    )


@compiled
def test_the_layout_of_the_rows_does_not_matter():
    model = trees_of(booster_of().save_raw("json"))

    np.testing.assert_array_equal(
        scores_of(model, rows_of(300)), scores_of(model, np.asfortranarray(rows_of(300)))
    )


@compiled
def test_trees_that_end_early_repeat_their_leaf():
    booster = booster_of(depth=5, gamma=5.0)
    sizes = [text.count("leaf=") for text in booster.get_dump()]
    assert len(set(sizes)) > 1, "the trees of this test are to have different shapes"

    scores = scores_of(trees_of(booster.save_raw("json")), rows_of(500))

    np.testing.assert_array_equal(scores, predict(booster, rows_of(500)))


@compiled
def test_a_model_without_any_split_says_the_same_of_everybody():
    booster = booster_of("rank:ndcg", gamma=1e9)

    scores = scores_of(trees_of(booster.save_raw("json")), rows_of(5))

    np.testing.assert_array_equal(scores, predict(booster, rows_of(5)))


@pytest.mark.parametrize(
    "booster",
    [booster_of(depth=MAX_DEPTH + 1, min_child_weight=0), booster_of("reg:squarederror")],
    ids=["too deep", "another objective"],
)
def test_xgboost_walks_where_there_is_no_compiled_form(booster):
    assert trees_of(booster.save_raw("json")) is None
    np.testing.assert_array_equal(scoring_of(booster)(rows_of(9)), predict(booster, rows_of(9)))


def test_xgboost_walks_where_nothing_was_compiled(monkeypatch):
    monkeypatch.setattr(trees, "_ADD_TREES", None)
    booster = booster_of()

    np.testing.assert_array_equal(scoring_of(booster)(rows_of(9)), predict(booster, rows_of(9)))
