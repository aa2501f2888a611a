from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from serve_app.serving.config import (
    MAX_N,
    AppConfig,
    IngressConfig,
    Placement,
    bundle_location,
    deployment_names,
    stages_in_ingress,
    store_location,
)

PROJECT = Path(__file__).parents[3]


def refusal_of(settings):
    with pytest.raises(ValidationError) as refused:
        AppConfig.model_validate(settings)
    [error] = refused.value.errors()
    return ".".join(map(str, error["loc"])), error["msg"]


class TestAppConfig:
    def test_needs_nothing(self):
        assert AppConfig.model_validate({}) == AppConfig()

    @pytest.mark.parametrize(
        ("settings", "where", "why"),
        [
            ({"variant": ["main"]}, "variant", "Extra inputs are not permitted"),
            ({"coalescing": {"max_batchs": 3}}, "coalescing.max_batchs", "Extra inputs"),
            ({"deadlines": {"ranker_s": 0}}, "deadlines.ranker_s", "greater than 0"),
            ({"deadlines": {"ranker_s": float("inf")}}, "deadlines.ranker_s", "finite number"),
            ({"result_cache": {"ttl_s": -1}}, "result_cache.ttl_s", "greater than 0"),
            ({"http": {"max_body_bytes": 5}}, "http.max_body_bytes", "greater than or equal to"),
            ({"placement": {"ranking": "head"}}, "placement.ranking", "'deployment' or 'ingress'"),
            ({"variants": []}, "variants", "name at least one variant, and none twice"),
            ({"variants": ["a", "a"]}, "variants", "name at least one variant, and none twice"),
            ({"variants": ["Main"]}, "variants", "'Main' is not a name like 'main'"),
            ({"variants": ["../x"]}, "variants", "is not a name"),
            ({"variants": ["a\n"]}, "variants", "is not a name"),
        ],
    )
    def test_refuses_what_makes_no_sense(self, settings, where, why):
        location, message = refusal_of(settings)

        assert location == where
        assert why in message

    def test_cannot_be_changed(self):
        with pytest.raises(ValidationError, match="frozen"):
            AppConfig().bundles = "elsewhere"

    def test_leaves_room_for_the_longest_list(self):
        assert AppConfig().candidates.max_candidates >= MAX_N

    @pytest.mark.parametrize("file", ["serve_config.yaml", "configs/one_process.yaml"])
    def test_is_what_the_shipped_configurations_say(self, file):
        [application] = yaml.safe_load((PROJECT / file).read_text())["applications"]

        config = AppConfig.model_validate(application["args"])

        deployed = deployment_names(config.variants, config.placement)
        names = [each["name"] for each in application["deployments"]]
        assert tuple(sorted(names)) == tuple(sorted(deployed))
        [ingress] = [each for each in application["deployments"] if each["name"] == "Ingress"]
        IngressConfig.model_validate(ingress["user_config"]).check(config.variants)


class TestIngressConfig:
    def test_weights_may_leave_variants_out(self):
        config = IngressConfig.model_validate({"experiment": {"salt": "s", "weights": {"a": 1}}})

        assert config.check(("a", "b")) is config

    def test_names_the_variants_that_are_served(self):
        config = IngressConfig.model_validate(
            {"experiment": {"salt": "s", "weights": {"a": 1, "c": 0, "d": 1}}}
        )

        with pytest.raises(ValueError, match=r"names c, d; served are a, b"):
            config.check(("a", "b"))


class TestLocations:
    def test_every_variant_has_its_own_deployment(self):
        assert deployment_names(("a", "b"), Placement()) == (
            *("Ingress", "FeatureFetcher", "CandidateGenerator"),
            *("Scorer-a", "Scorer-b", "Ranker", "ShopWriter"),
        )

    def test_a_stage_is_a_deployment_or_lives_in_the_ingress(self):
        placement = Placement(candidates="ingress", scoring="ingress")

        assert deployment_names(("a", "b"), placement) == (
            *("Ingress", "FeatureFetcher", "Ranker", "ShopWriter"),
        )
        assert stages_in_ingress(("a", "b"), placement) == (
            *("CandidateGenerator", "Scorer-a", "Scorer-b"),
        )

    def test_everything_lies_in_the_home_folder_unless_told(self):
        location = store_location({}, Path("/work"))
        bundles = bundle_location(AppConfig(), location.home)

        assert (location.home, location.database_url) == (Path("/work/.recserve"), None)
        assert bundles.root == "/work/.recserve/bundles"
        assert bundles.cache_dir == Path("/work/.recserve/bundle-copies")

    def test_the_environment_says_where_the_stores_are(self):
        environment = {"RECSERVE_HOME": "here", "DATABASE_URL": "postgresql://x", "REDIS_URL": ""}

        location = store_location(environment, Path("/work"))

        assert location.home == Path("/work/here")
        assert (location.database_url, location.redis_url) == ("postgresql://x", None)

    def test_an_absolute_home_is_taken_as_it_is(self):
        assert store_location({"RECSERVE_HOME": "/data"}, Path("/work")).home == Path("/data")

    @pytest.mark.parametrize(
        ("written", "root"),
        [("shop/bundles", "/home/shop/bundles"), ("/data/bundles", "/data/bundles")],
    )
    def test_bundles_lie_in_the_home_folder_unless_the_path_is_absolute(self, written, root):
        assert bundle_location(AppConfig(bundles=written), Path("/home")).root == root

    def test_bundles_may_lie_in_an_object_store(self):
        bundles = bundle_location(AppConfig(bundles="s3://shop/bundles"), Path("/home"))

        assert bundles.root == "s3://shop/bundles"
        assert bundles.cache_dir == Path("/home/bundle-copies")


def test_stages_outlast_both_of_their_stores_and_the_queue_all_stages():
    config = AppConfig()
    stores_s = config.stores.redis.timeout_s + config.stores.postgres.timeout_s
    deadlines = config.deadlines

    assert min(deadlines.features_s, deadlines.candidates_s) - stores_s > 0.05
    first_s = max(deadlines.features_s, deadlines.candidates_s)
    all_s = first_s + deadlines.scorer_s + deadlines.ranker_s + deadlines.features_s
    assert config.coalescing.max_wait_s >= all_s


def test_a_batch_must_fit_into_one_call():
    settings = {"coalescing": {"max_batch": 75}, "candidates": {"max_candidates": 2_000}}
    assert AppConfig.model_validate(settings).coalescing.max_batch == 75

    settings["coalescing"] = {"max_batch": 76}
    with pytest.raises(ValueError, match="is 152,000: a batch may have at most 150,000 candidates"):
        AppConfig.model_validate(settings)
