import numpy as np
import pytest
import xgboost

from serve_app.bundles.manifest import ModelManifest
from serve_app.bundles.models.loading import load_booster
from serve_app.errors import BundleDamaged, FingerprintMismatch
from serve_app.recommending.scoring.boosters import predict
from serve_app.recommending.scoring.model_features import fingerprint

NAMES = ("item.popularity", "item.trend")


def manifest_of(names=NAMES, identity=None):
    return ModelManifest(
        file="models/main.ubj",
        features=names,
        fingerprint=identity or fingerprint(names),
        objective="binary:logistic",
        n_trees=2,
        metrics={},
    )


@pytest.fixture(scope="module")
def booster():
    rng = np.random.default_rng(0)
    matrix = rng.random((200, len(NAMES)), np.float32)
    data = xgboost.DMatrix(matrix, matrix[:, 0] > 0.5)
    return xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, 2)


@pytest.fixture
def path(tmp_path, booster):
    folder = tmp_path / "20231114-00000000" / "models"
    folder.mkdir(parents=True)
    booster.save_model(folder / "main.ubj")
    return folder / "main.ubj"


def test_loads_a_model_that_scores_as_the_one_that_was_saved(path, booster):
    matrix = np.array([[0.9, 0.1], [0.1, 0.9], [np.nan, 0.5]], np.float32)

    scores = predict(load_booster(path, manifest_of()), matrix)

    assert scores.dtype == np.float32
    assert scores[0] > scores[1]
    np.testing.assert_array_equal(scores, predict(booster, matrix))


def test_scores_no_candidates(booster):
    assert predict(booster, np.empty((0, 2), np.float32)).shape == (0,)


def test_refuses_features_that_this_build_assembles_differently(path):
    with pytest.raises(FingerprintMismatch, match="'main' was fitted with features 0123456789ab"):
        load_booster(path, manifest_of(identity="0123456789ab"))


def test_refuses_a_file_that_holds_no_model(path):
    path.write_bytes(b"no trees here")

    with pytest.raises(BundleDamaged, match=r"20231114-00000000 is damaged: main\.ubj holds no"):
        load_booster(path, manifest_of())


def test_refuses_a_model_of_another_width(path):
    with pytest.raises(BundleDamaged, match="takes 2 features, the manifest names 3"):
        load_booster(path, manifest_of((*NAMES, "item.log_price")))
