import numpy as np
import pytest

from serve_app.arrays.units import DAY_S
from serve_app.bundles.bundle import open_bundle
from serve_app.bundles.models.loading import load_booster
from serve_app.bundles.publishing import publish
from serve_app.errors import NotEnoughData
from serve_app.fitting.data.windows import select_interactions
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.pipeline import fit
from serve_app.fitting.training.boosting import VariantConfig
from serve_app.fitting.training.rising_trees import N_TREES
from serve_app.recommending.scoring.boosters import predict
from serve_app.recommending.scoring.model_features import SOURCES, USER_COLUMNS
from tests.support.few_examples import FEW_EXAMPLES
from tests.support.hand_made_logs import demo_shop, items_of, log_of

pytestmark = pytest.mark.whole_fit

CONFIG = FitConfig(
    variants={
        "main": VariantConfig(n_trees=20, min_ranking_users=0, few_users=0),
        "challenger": VariantConfig(
            objectives=("rank:ndcg",), n_trees=20, features=("candidate",), few_users=0
        ),
    },
    n_tuning_users=50,
)
# For what does not depend on how well a model orders.
ROUGH = FitConfig(
    variants={"main": VariantConfig(n_models=1, n_trees=5, few_users=0)}, **FEW_EXAMPLES
)


def silent(step, share):
    pass


@pytest.fixture(scope="module")
def told():
    """The words of the fit about its progress."""
    return []


@pytest.fixture(scope="module")
def fitted(told):
    return fit(*demo_shop(), CONFIG, lambda step, share: told.append((step, share)))


class TestFit:
    def test_every_variant_orders_better_than_popularity_and_than_any_source(self, fitted):
        measured, models = fitted.contents.metrics, fitted.contents.models
        best_source = max(measured[source]["ndcg_at_10"] for source in SOURCES)

        for model in models.values():
            assert model.metrics["ndcg_at_10"] > 1.3 * measured["popular"]["ndcg_at_10"]
        assert models["main"].metrics["ndcg_at_10"] > best_source

    def test_knows_all_that_happened_until_the_end(self, fitted):
        _, _, log = demo_shop()

        assert fitted.contents.until_at == log.at.max()
        assert fitted.contents.fitted.archive.events["at"].max() == log.at.max()
        assert 0 < fitted.contents.horizon_s < log.at.max() - log.at.min()

    def test_lists_all_items_and_those_that_come_later_too(self):
        items, users, log = demo_shop()
        last = items.index[-1]
        items = items.copy()
        items.loc[last, "created_at"] = log.at.max() + DAY_S
        log = select_interactions(log, log.rows != items.loc[last, "item_row"])

        contents = fit(items, users, log, ROUGH, silent).contents

        assert contents.fitted.catalogue.listed[: len(items)].all()

    def test_the_same_data_give_the_same_bundle(self, tmp_path):
        first, again = (
            publish(str(tmp_path), fit(*demo_shop(), ROUGH, silent).contents, created_at=at)
            for at in (1.0, 2.0)
        )

        assert again.version == first.version

    def test_published_models_score_the_features_they_name(self, fitted, tmp_path):
        manifest = publish(str(tmp_path / "root"), fitted.contents, created_at=1.0)
        bundle = open_bundle(str(tmp_path / "root"), manifest.version, cache_dir=tmp_path)

        for variant, model in manifest.models.items():
            booster = load_booster(bundle.model_path(variant), model)
            scores = predict(booster, np.zeros((4, len(model.features)), np.float32))
            assert np.isfinite(scores).all()
            # The newcomers of the simulated shop are few: models lean on popularity for them.
            assert model.n_trees == 20 * {"main": 4, "challenger": 2}[variant] + N_TREES

    def test_gives_back_the_columns_of_users_that_were_learnt(self, fitted):
        _, _, log = demo_shop()

        assert set(fitted.users) == (set(USER_COLUMNS) - {"created_at"}) | {
            "favorite_categories",
            "recent_views",
        }
        assert {len(values) for values in fitted.users.values()} == {len(log.user_ids)}

    def test_says_how_far_it_is(self, fitted, told):
        assert list(dict.fromkeys(step for step, share in told if share == 1.0)) == [
            "check",
            "features",
            "candidates",
            "train",
            "evaluate",
        ]
        assert all(0 <= share <= 1 for _, share in told)

    def test_learns_from_at_most_so_many_users(self):
        few = ROUGH.model_copy(update={"max_examples_users": 40})

        metrics = fit(*demo_shop(), few, silent).contents.metrics

        assert metrics["candidates"]["n_users"] <= 40

    @pytest.mark.parametrize(
        ("log", "reason"),
        [
            (log_of(users=()), "no interactions"),
            (log_of(*[("ann", 0, "view", 1)] * 9), "9 interactions lie too close in time"),
            (
                log_of(*[("ann", 0, "view", day) for day in range(99)]),
                "only 0 users wanted anything new",
            ),
        ],
    )
    def test_says_what_is_missing_when_there_is_too_little(self, log, reason):
        _, users, _ = demo_shop()

        with pytest.raises(NotEnoughData, match=reason):
            fit(items_of(2), users, log, CONFIG, silent)
