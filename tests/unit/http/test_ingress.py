import inspect
from collections import Counter
from dataclasses import replace

import pytest

from serve_app.bundles import bundle_shelf
from serve_app.bundles.publishing import publish
from serve_app.domain.item_changes import ItemChange
from serve_app.errors import InvalidRequest, StageFailed, UnknownItem
from serve_app.http.bodies import RecommendationsRequest
from serve_app.serving import current_bundle as world
from serve_app.serving.experiment_in_use import ACCEPTED
from tests.support.in_memory_stores import InMemoryShop
from tests.support.in_process import Api, logged
from tests.support.small_bundles import contents_of, damage, publish_world
from tests.support.small_world import AT, small_world

USERS = [f"user-{number}" for number in range(200)]
LOGGER = "ray.serve.recserve.ingress"


def experiment(salt="s", **weights):
    return {"experiment": {"salt": salt, "weights": weights}}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / "bundles"
    publish_world(folder)
    return folder


@pytest.fixture(autouse=True)
def _nothing_accepted(root):
    (root / ACCEPTED).unlink(missing_ok=True)


@pytest.fixture
def ingress(root):
    """One whose event loop has never run: what needs no bundle."""
    return Api(root).ingress


@pytest.fixture
def soon(monkeypatch):
    """Another bundle is noticed and taken up at once."""
    for module, name in [
        *((world, "POLL_S"), (bundle_shelf, "POLL_S")),
    ]:
        monkeypatch.setattr(module, name, 0.01)


def variant_of(ingress, user_id, model_name=None):
    return ingress.question(RecommendationsRequest(user_id=user_id, model_name=model_name)).variant


def variants_of(ingress):
    return {user: variant_of(ingress, user) for user in USERS}


class TestAssignment:
    def test_everybody_gets_the_first_variant_until_an_experiment_is_configured(self, ingress):
        assert set(variants_of(ingress).values()) == {"main"}

    def test_a_user_keeps_his_variant_in_every_replica(self, root):
        first, second = Api(root).ingress, Api(root).ingress
        for replica in (first, second):
            replica.reconfigure(experiment(main=0.5, challenger=0.5))

        assert variants_of(first) == variants_of(first) == variants_of(second)

    def test_users_are_divided_by_weight(self, ingress):
        ingress.reconfigure(experiment(main=3, challenger=1))

        n_by_variant = Counter(variants_of(ingress).values())

        assert 0.65 < n_by_variant["main"] / len(USERS) < 0.85

    def test_the_model_that_is_asked_for_answers_whatever_its_weight(self, ingress):
        ingress.reconfigure(experiment(main=1, challenger=0))

        assert variant_of(ingress, "u", "challenger") == "challenger"

    def test_a_model_that_is_not_served_is_refused(self, ingress):
        with pytest.raises(InvalidRequest, match="must be one of: main, challenger"):
            variant_of(ingress, "u", "Main")


class TestReconfigure:
    def test_new_weights_hold_for_the_next_question(self, ingress):
        ingress.reconfigure(experiment(challenger=1))
        assert set(variants_of(ingress).values()) == {"challenger"}

        ingress.reconfigure(experiment(main=1))

        assert set(variants_of(ingress).values()) == {"main"}
        assert ingress.health()["weights"] == {"main": 1.0, "challenger": 0.0}

    def test_another_salt_deals_everybody_anew(self, ingress):
        ingress.reconfigure(experiment("a", main=1, challenger=1))
        before = variants_of(ingress)
        ingress.reconfigure(experiment("b", main=1, challenger=1))

        moved = sum(before[user] != variant for user, variant in variants_of(ingress).items())

        assert 0.35 < moved / len(USERS) < 0.65

    @pytest.mark.parametrize(
        ("user_config", "said"),
        [
            ({}, "experiment"),
            (experiment(main=0, challenger=0), "at least one variant needs a weight above 0"),
            (experiment(main=-1), "greater than or equal to 0"),
            (experiment(main=float("nan")), "finite number"),
            (experiment(main=1, other=1), "names other; served are main, challenger"),
            ({**experiment(main=1), "weigths": {}}, "weigths"),
            ({"experiment": None}, "experiment"),
        ],
    )
    def test_what_makes_no_sense_is_logged_and_changes_nothing(self, ingress, user_config, said):
        ingress.reconfigure(experiment(main=1, challenger=1))
        before = variants_of(ingress)

        with logged(LOGGER) as records:
            ingress.reconfigure(user_config)

        assert variants_of(ingress) == before
        assert [record.levelname for record in records] == ["ERROR"]
        assert "the accepted one stays" in records[0].getMessage()
        assert said in records[0].getMessage()
        assert said in "".join(ingress.health()["faults"])

    def test_a_new_replica_takes_the_accepted_experiment_and_not_the_default(self, root):
        old, new = Api(root).ingress, Api(root).ingress
        old.reconfigure(experiment(main=0.1, challenger=0.9))

        for replica in (old, new):
            replica.reconfigure(experiment(main=1, other=1))

        assert variants_of(new) == variants_of(old)
        assert new.health()["weights"] == {"main": 0.1, "challenger": 0.9}

    def test_a_removed_user_config_ends_the_experiment_at_once(self, ingress):
        ingress.reconfigure(experiment(challenger=1))

        ingress.reconfigure(None, rank=0)

        assert set(variants_of(ingress).values()) == {"main"}

    def test_serve_calls_it_when_the_user_config_is_removed(self, ingress):
        # Ray's rule: only methods with an argument of this name are called without a user_config.
        assert "rank" in inspect.signature(ingress.reconfigure).parameters


class TestUserHash:
    def test_tells_users_apart_without_naming_them(self, ingress):
        hashes = {ingress.user_hash(user) for user in USERS}

        assert len(hashes) == len(USERS)
        assert all(len(each) == 12 for each in hashes)

    def test_cannot_be_computed_without_the_salt(self, ingress):
        before = ingress.user_hash("u")
        ingress.reconfigure(experiment("another salt" * 10, main=1))

        assert ingress.user_hash("u") != before


class TestBundles:
    def test_nothing_is_similar_before_a_bundle_is_there(self, ingress):
        with pytest.raises(UnknownItem):
            ingress.similar("i000001", 5)

    def test_answers_from_a_new_bundle_once_it_is_published(self, tmp_path, soon):
        root = tmp_path / "bundles"
        first = publish_world(root).version
        with Api(root) as api:
            api.until_in_use(first)
            assert api.ask()["model_version"] == first

            second = publish_world(root, n_trees=6).version
            api.until_in_use(second)
            answer = api.ask()

        assert second != first
        assert answer["model_version"] == second
        assert answer["degraded"] == []
        assert not answer["cached"]

    def test_starts_before_the_first_bundle_and_takes_it_up(self, tmp_path, soon):
        root = tmp_path / "bundles"
        with Api(root) as api:
            assert api.ask()["degraded"] == ["bundle"]

            version = publish_world(root).version
            api.until_in_use(version)

            assert api.ask()["degraded"] == []

    def test_goes_on_with_the_old_bundle_when_the_new_one_is_damaged(self, tmp_path, soon):
        root = tmp_path / "bundles"
        good = publish_world(root)
        with Api(root) as api, logged(LOGGER) as records:
            api.until_in_use(good.version)
            bad = publish_world(root, n_trees=6)
            damage(root, bad)
            api.until(lambda: any("is damaged" in r.getMessage() for r in records))
            assert api.ask()["model_version"] == good.version
            for path in ("/health", "/ready"):
                [fault] = api.get(path).json()["faults"]
                assert fault.startswith(f"bundle {bad.version} is damaged")

            repaired = publish_world(root, n_trees=7).version
            api.until_in_use(repaired)

    def test_a_new_replica_answers_from_the_version_before_a_damaged_one(self, tmp_path):
        root = tmp_path / "bundles"
        good = publish_world(root).version
        damage(root, publish_world(root, n_trees=6))
        with Api(root) as api:
            api.run(api.ingress.check_health())
            answer = api.ask()

        assert (answer["model_version"], answer["degraded"]) == (good, [])
        assert answer["recommendations"]

    def test_a_new_replica_has_a_bundle_in_every_stage_when_it_joins(self, tmp_path):
        root = tmp_path / "bundles"
        version = publish_world(root).version
        with Api(root) as api:
            api.run(api.ingress.check_health())
            stages = api.stages.holders

            assert api.ingress.health()["bundle"] == version
            assert sorted(stages) == ["candidates", "ranker", "scorer-challenger", "scorer-main"]

    def test_a_variant_that_was_not_fitted_is_degraded_and_the_others_are_not(self, tmp_path):
        root = tmp_path / "bundles"
        version = publish_world(root, variants=("main",)).version
        with Api(root) as api:
            api.until_in_use(version)

            assert api.ask(model_name="challenger")["degraded"] == ["scorer-challenger"]
            assert api.ask(model_name="main")["degraded"] == []


class TestLiveCatalogue:
    """A shop that changes while it is served, from HTTP to the stages and back."""

    HAT = ItemChange(
        2, 300, "hat", "A hat", "hats", 5.0, ("felt",), created_at=AT, attributes={"size": "XL"}
    )

    @pytest.fixture
    def served(self, tmp_path):
        root = tmp_path / "bundles"
        publish(str(root), contents_of(n_spare_rows=5), created_at=AT)
        shop = InMemoryShop()
        with Api(root, shop=shop, items=self.away) as api:
            api.until(lambda: api.ingress.health()["bundle"] is not None)
            yield api, shop

    @staticmethod
    async def away(_):
        raise StageFailed("metadata", "unreachable")

    def follow(self, api, shop, *changes):
        shop.changed.extend(changes)
        last = changes[-1].revision
        api.until(lambda: api.ingress.health()["catalogue"]["revision"] == last)

    def test_a_new_item_is_listed_filtered_described_and_has_similar_items(self, served):
        api, shop = served
        before = api.post({"user_id": "ann", "filters": {"size": "XL"}})
        self.follow(api, shop, self.HAT)

        hats = api.ask("ann", filters={"size": "XL"}, include_metadata=True)["recommendations"]
        similar = api.get("/items/hat/similar").json()["similar"]

        assert before.status_code == 422, "no item had the attribute"
        assert [item["item_id"] for item in hats] == ["hat"]
        assert hats[0]["metadata"]["tags"] == ["felt"]
        assert hats[0]["metadata"]["category"] == "hats"
        assert len(similar) == 10

    def test_a_reason_names_a_category_that_no_fit_knows(self, served):
        api, shop = served
        self.follow(api, shop, self.HAT)

        [hat] = api.ask("nobody", filters={"category": "hats"})["recommendations"]

        assert hat["reason"] == "New in hats"

    def test_withdrawn_and_sold_out_items_are_in_no_list_from_then_on(self, served):
        api, shop = served
        listed = [item["item_id"] for item in api.ask("ann")["recommendations"]]
        catalogue = small_world().fitted.catalogue
        rows = catalogue.index.find(listed[:2]).tolist()
        gone = [
            ItemChange(5 + i, row, item_id, "", "", in_stock=i == 0, is_listed=i == 1)
            for i, (row, item_id) in enumerate(zip(rows, listed, strict=False))
        ]
        self.follow(api, shop, *gone)

        answer = api.ask("ann")

        assert not {*listed[:2]} & {item["item_id"] for item in answer["recommendations"]}
        assert (answer["cached"], len(answer["recommendations"])) == (False, 10)

    def test_health_names_items_for_which_no_row_is_left(self, served):
        api, shop = served
        self.follow(api, shop, replace(self.HAT, row=310, revision=9))

        health = api.get("/health").json()

        assert health["catalogue"]["items_without_row"] == 6
        assert "6 new items wait for the next fit" in health["faults"][0]
