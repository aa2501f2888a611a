import pytest
from pydantic import ValidationError

from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.training.boosting import VariantConfig
from serve_app.recommending.scoring.model_features import FEATURES, ITEM_FEATURES


class TestConfig:
    def test_groups_stand_for_their_features(self):
        config = VariantConfig(features=("item.trend", "item", "cross"))

        assert config.feature_names[:2] == ("item.trend", ITEM_FEATURES[0])
        assert len(config.feature_names) == len(ITEM_FEATURES) + 2

    def test_a_ranking_objective_wants_enough_users(self):
        config = VariantConfig(min_ranking_users=100)

        assert config.objectives_for(99) == ("binary:logistic",)
        assert config.objectives_for(100) == ("binary:logistic", "rank:ndcg")

    def test_a_ranking_objective_alone_is_learnt_from_any_users(self):
        config = VariantConfig(objectives=("rank:ndcg",), min_ranking_users=100)
        assert config.objectives_for(1) == ("rank:ndcg",)

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
            ({"variants": {"main": {"objectives": ["rank:ndcg"] * 2}}}, "at most once"),
            ({"variants": {"popular": {}}}, "compared with"),
            ({"variants": {"../main": {}}}, "String should match"),
            ({"label_share": 0.5}, "less than 0.5"),
            ({"snapshot": {"tables": {"source_weights": [1, 1, 1]}}}, "at least 8 items"),
            (
                {"snapshot": {"tables": {"source_weights": [1, 1, 1, 1, 1, -1]}}},
                "greater than or equal to 0",
            ),
        ],
    )
    def test_refuses_what_cannot_be_fitted(self, settings, message):
        with pytest.raises(ValidationError, match=message):
            FitConfig.model_validate(settings)
