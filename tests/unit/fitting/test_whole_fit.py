import numpy as np
import pytest
from pydantic import ValidationError

from serve_app.bundles.bundle import open_bundle
from serve_app.bundles.models import load_booster
from serve_app.bundles.publishing import publish
from serve_app.domain.scoring.boosters import predict
from serve_app.domain.scoring.model_features import FEATURES, ITEM_FEATURES, SOURCES, USER_COLUMNS
from serve_app.errors import NotEnoughData
from serve_app.fitting.data.labels import CLICKED, WANTED
from serve_app.fitting.data.windows import before, chosen, outcomes, sample, split_of
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.moments.examples import Examples, thinned
from serve_app.fitting.pipeline import fit
from serve_app.fitting.training.boosting import VariantConfig, user_weights
from tests.support.hand_made_logs import DAY_S, demo_shop, items_of, log_of

CONFIG = FitConfig(
    variants={
        "main": VariantConfig(n_trees=20, min_ranking_users=0, few_users=0),
        "challenger": VariantConfig(
            objectives=("rank:ndcg",), n_trees=20, features=("candidate",), few_users=0
        ),
    }
)


def silent(step, share):
    pass


@pytest.fixture(scope="module")
def told():
    """What the fit said of its progress."""
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
        log = chosen(log, log.rows != items.loc[last, "item_row"])

        contents = fit(items, users, log, CONFIG, silent).contents

        assert contents.fitted.catalogue.listed.all()

    def test_the_same_data_give_the_same_bundle(self, fitted, tmp_path):
        first = publish(str(tmp_path), fitted.contents, created_at=1.0)

        again = publish(str(tmp_path), fit(*demo_shop(), CONFIG, silent).contents, created_at=2.0)

        assert again.version == first.version

    def test_published_models_score_the_features_they_name(self, fitted, tmp_path):
        manifest = publish(str(tmp_path / "root"), fitted.contents, created_at=1.0)
        bundle = open_bundle(str(tmp_path / "root"), manifest.version, cache_dir=tmp_path)

        for variant, model in manifest.models.items():
            booster = load_booster(bundle.model_path(variant), model)
            scores = predict(booster, np.zeros((4, len(model.features)), np.float32))
            assert np.isfinite(scores).all()
            assert model.n_trees == 20 * {"main": 4, "challenger": 2}[variant]

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
        few = CONFIG.model_copy(update={"max_examples_users": 40})

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


class TestConfig:
    def test_groups_stand_for_their_features(self):
        config = VariantConfig(features=("item.trend", "item", "cross"))

        assert config.feature_names[:2] == ("item.trend", ITEM_FEATURES[0])
        assert len(config.feature_names) == len(ITEM_FEATURES) + 2

    def test_a_ranking_objective_wants_enough_users(self):
        config = VariantConfig(min_ranking_users=100)
        few, enough = config.members(99), config.members(100)

        assert [member.objective for member in few] == ["binary:logistic"] * 2
        assert [member.objective for member in enough] == ["binary:logistic"] * 2 + [
            "rank:ndcg"
        ] * 2

    def test_a_ranking_objective_alone_is_learnt_from_any_users(self):
        config = VariantConfig(objectives=("rank:ndcg",), min_ranking_users=100)
        assert config.members(1) == config.members(100)

    def test_of_few_users_simpler_trees_are_learnt(self):
        config = VariantConfig(few_users=100, n_trees=25, max_depth=4)

        assert config.for_users(100) == config
        few, very_few = config.for_users(99), config.for_users(50)
        assert (few.n_trees, few.max_depth) == (25, 2)
        assert (very_few.n_trees, very_few.max_depth) == (13, 2)
        assert VariantConfig(max_depth=1).for_users(1).max_depth == 1

    def test_default_variants_use_every_feature(self):
        for variant in FitConfig().variants.values():
            assert sorted(variant.feature_names) == sorted(FEATURES)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"variants": {"main": {"features": ["item.colour"]}}}, "item.colour"),
            ({"variants": {}}, "at least 1 item"),
            ({"variants": {"popular": {}}}, "compared with"),
            ({"variants": {"../main": {}}}, "String should match"),
            ({"label_share": 0.5}, "less than 0.5"),
            ({"snapshot": {"tables": {"source_weights": [1, 1, 1]}}}, "at least 6 items"),
            (
                {"snapshot": {"tables": {"source_weights": [1, 1, 1, 1, 1, -1]}}},
                "greater than or equal to 0",
            ),
        ],
    )
    def test_refuses_what_cannot_be_fitted(self, settings, message):
        with pytest.raises(ValidationError, match=message):
            FitConfig.model_validate(settings)


class TestWindows:
    def test_both_windows_hold_the_same_share_of_the_interactions(self):
        log = log_of(*[("ann", 0, "view", day**2) for day in range(101)])

        split = split_of(log, 0.2)

        assert [round(at / DAY_S) for at in (split.train_at, split.evaluate_at, split.end_at)] == [
            60**2,
            80**2,
            100**2,
        ]

    def test_outcomes_leave_out_what_was_bought_before(self):
        log = log_of(
            ("ann", 0, "purchase", 1),
            ("ann", 0, "purchase", 11),
            ("ann", 1, "view", 12),
            ("ann", 1, "purchase", 13),
            ("bob", 0, "purchase", 2),
            ("bob", 0, "purchase", 12),
            ("cid", 1, "cart", 12),
        )

        found = outcomes(log, 10 * DAY_S, 20 * DAY_S, np.ones(2, bool))

        assert found.users.tolist() == [0]
        assert found.rows.tolist() == [1]
        assert found.strengths.tolist() == [WANTED]

    def test_outcomes_leave_out_items_that_could_not_be_recommended(self):
        log = log_of(("ann", 0, "purchase", 11), ("bob", 1, "purchase", 11))

        found = outcomes(log, 10 * DAY_S, 20 * DAY_S, np.array([True, False]))

        assert found.users.tolist() == [0]

    def test_outcomes_can_ask_for_less_than_a_purchase(self):
        log = log_of(("ann", 0, "click", 11), ("bob", 0, "view", 11))

        found = outcomes(log, 10 * DAY_S, 20 * DAY_S, np.ones(1, bool), least=CLICKED)

        assert found.users.tolist() == [0]

    def test_a_sample_keeps_what_the_chosen_users_did(self):
        log = log_of(*[(f"u{i:02}", row, "purchase", 11) for i in range(20) for row in range(i)])
        found = outcomes(log, 10 * DAY_S, 20 * DAY_S, np.ones(20, bool))

        some = sample(found, 5, seed=0)

        assert len(some) == 5
        assert np.diff(some.offsets).tolist() == (some.users + 1).tolist()

    def test_before_leaves_out_the_moment_itself(self):
        log = log_of(("ann", 0, "view", 1), ("ann", 0, "view", 2))

        assert before(log, 2 * DAY_S).at.tolist() == [DAY_S]


class TestThinned:
    def test_keeps_all_that_was_touched_and_some_of_the_rest(self):
        strengths = np.zeros(400, np.uint8)
        strengths[[3, 150]] = WANTED
        examples = Examples(
            np.arange(400, dtype=np.float32)[:, None], strengths, np.array([0, 100, 300, 400])
        )

        thin = thinned(examples, 20, np.random.default_rng(0))

        assert len(thin) == 2
        assert (thin.strengths > 0).sum() == 2
        assert 15 < len(thin.strengths) < 75
        assert np.diff(thin.offsets).sum() == len(thin.strengths)


class TestUserWeights:
    def test_a_user_who_touched_a_hundred_counts_as_much_as_ten_who_touched_one(self):
        strengths = np.full(111, WANTED, np.uint8)
        strengths[-1] = 0
        examples = Examples(
            np.zeros((111, 1), np.float32), strengths, np.array([0, 100, *range(101, 111), 111])
        )

        weights = user_weights(examples)

        assert weights[:100].sum() == pytest.approx(weights[100:110].sum())
        assert weights[110] == weights[109], "who touched nothing counts as who touched one"

    def test_users_alike_count_as_if_there_were_no_weights(self):
        examples = Examples(
            np.zeros((8, 1), np.float32), np.array([1, 1, 0, 0] * 2, np.uint8), np.array([0, 4, 8])
        )

        assert user_weights(examples).tolist() == [1.0] * 8
