import asyncio
import shutil
from itertools import pairwise

import numpy as np
import pytest

from serve_app.arrays.columns import MISSING
from serve_app.arrays.units import DAY_S
from serve_app.bundles import bundle_shelf
from serve_app.bundles.bundle import open_bundle
from serve_app.errors import NoBundleOpens
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.recommending.ranking.ordering import RankingConfig, fused_scores, ranking_batch
from serve_app.recommending.scoring.model_features import SOURCE_RANKS, SOURCES
from serve_app.serving import current_bundle as world_module
from serve_app.serving.current_bundle import BundleFollower, CurrentBundle
from serve_app.stores.catalogue_follower import CatalogueFollower
from tests.support.in_memory_stores import InMemoryShop
from tests.support.in_process import logged, until
from tests.support.small_bundles import damage, location_of, publish_world
from tests.support.small_world import AT, batch_of, purchased, small_world

VARIANTS = ("main", "challenger")
USERS = tuple(f"u{number:06d}" for number in range(30))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("published") / "bundles"
    manifest = publish_world(root)
    bundle = open_bundle(str(root), manifest.version, cache_dir=root)
    return CurrentBundle.of(bundle, CandidatesConfig(), RankingConfig())


def in_use(root, holders=None, clock=lambda: 0.0):
    return BundleFollower(
        location_of(root),
        CandidatesConfig(),
        RankingConfig(),
        CatalogueFollower(InMemoryShop()),
        holders,
        clock=clock,
    )


class Stage:
    """A stage that has opened a version once it is told so."""

    def __init__(self):
        self.asked, self.has_opened = [], False

    async def holds(self, version):
        self.asked.append(version)
        return self.has_opened


class TestWorld:
    def test_its_candidates_are_popular_ones_that_the_user_has_not_bought(self, world):
        found = world.floor.candidates(batch_of(USERS))

        offered = np.isfinite(found.features[:, SOURCE_RANKS]).any(axis=0)
        assert dict(zip(SOURCES, offered, strict=True)) == {
            **dict.fromkeys(SOURCES, False),
            "popular": True,
        }
        archive = small_world().fitted.archive.read(USERS, stale=False)
        for i, (start, end) in enumerate(pairwise(found.offsets)):
            assert not np.isin(found.rows[start:end], purchased(archive.of_user(i))).any()
        assert found.stale.all()

    def test_its_users_are_unknown_ones(self, world):
        users = world.floor.users(batch_of(USERS))

        assert users.defaulted.all()
        assert (users.values[:, 0] == 0).all()

    def test_its_order_is_that_of_the_scores(self, world):
        found = world.floor.candidates(batch_of(USERS))

        ranked = world.floor.rank(
            ranking_batch(found, np.full(len(USERS), 20, np.int32), fused_scores(found))
        )

        assert np.diff(ranked.offsets).tolist() == [20] * len(USERS)
        for start, end in pairwise(ranked.offsets):
            assert (np.diff(ranked.scores[start:end]) <= 0).all()

    @pytest.mark.parametrize(
        ("now", "clock"), [(-DAY_S, -DAY_S), (DAY_S, DAY_S), (30 * DAY_S, 30 * DAY_S)]
    )
    def test_features_are_of_now_while_the_bundle_is_young(self, world, now, clock):
        assert world.features_at(AT + now) == AT + clock

    def test_features_stop_at_the_end_of_the_horizon(self, world):
        assert world.features_at(AT + 400 * DAY_S) == AT + 30 * DAY_S

    def test_finds_the_row_of_an_item(self, world):
        assert world.row_of(small_world().fitted.catalogue.item_ids.at(17)) == 17
        assert world.row_of("no such") == MISSING


class TestWorldInUse:
    def test_there_is_none_before_something_is_published(self, tmp_path):
        async def scenario():
            followed = in_use(tmp_path / "bundles")
            await followed.look()
            return followed.current

        assert asyncio.run(scenario()) is None

    def test_the_next_is_taken_up_when_every_stage_has_opened_it(self, tmp_path):
        root, ranker, scorer = tmp_path / "bundles", Stage(), Stage()
        first = publish_world(root).version

        async def scenario():
            followed = in_use(root, {"ranker": ranker.holds, "scorer-main": scorer.holds})
            await followed.look()
            second = publish_world(root, n_trees=6).version
            await followed.look()
            seen = [followed.current.version, followed.faults]
            ranker.has_opened = True
            await followed.look()
            seen.append(followed.faults)
            scorer.has_opened = True
            await followed.look()
            return second, [*seen, followed.current.version, followed.faults]

        second, seen = asyncio.run(scenario())

        assert ranker.asked == [second] * 3
        assert seen == [
            *(first, (f"bundle {second} is being opened by ranker, scorer-main",)),
            *((f"bundle {second} is being opened by scorer-main",), second, ()),
        ]

    def test_the_next_is_taken_up_after_a_while_whatever_the_stages_say(self, tmp_path):
        root, now_s = tmp_path / "bundles", [0.0]
        publish_world(root)

        async def scenario():
            followed = in_use(root, {"ranker": Stage().holds}, lambda: now_s[0])
            await followed.look()
            second = publish_world(root, n_trees=6).version
            used = []
            settled_s = 10.0 + world_module.SETTLING_S
            for now_s[0] in (10.0, 70.0, settled_s, settled_s + 1):
                await followed.look()
                used.append(followed.current.version == second)
            return used

        assert asyncio.run(scenario()) == [False, False, False, True]

    def test_the_same_version_is_not_opened_again(self, tmp_path):
        root = tmp_path / "bundles"
        publish_world(root)

        async def scenario():
            followed = in_use(root)
            await followed.look()
            before = followed.current
            await followed.look()
            return before is followed.current

        assert asyncio.run(scenario())

    @pytest.mark.parametrize("variants", [VARIANTS, ("main",)], ids=["damaged", "no model"])
    def test_one_that_cannot_serve_is_refused_and_the_one_before_stays(self, tmp_path, variants):
        root = tmp_path / "bundles"
        first = publish_world(root).version

        async def scenario():
            followed = in_use(root)
            await followed.look()
            second = publish_world(root, 6, variants)
            if variants == VARIANTS:
                damage(root, second)
            await followed.look()
            return second.version, followed

        second, followed = asyncio.run(scenario())

        assert followed.current.version == first
        assert followed.faults[0].startswith(f"bundle {second} ")

    def test_one_in_use_that_was_deleted_stays_where_no_other_can_serve(self, tmp_path):
        root = tmp_path / "bundles"
        first = publish_world(root).version

        async def scenario():
            followed = in_use(root)
            await followed.look()
            publish_world(root, 6, variants=("main",))
            shutil.rmtree(root / first)
            await followed.look()
            return followed.current.version

        assert asyncio.run(scenario()) == first

    @pytest.mark.parametrize("fault", ["damaged", "garbage", "deleted"])
    def test_a_new_replica_uses_the_version_that_the_others_use(self, tmp_path, fault):
        root = tmp_path / "bundles"
        first, second = publish_world(root).version, publish_world(root, n_trees=6)
        match fault:
            case "damaged":
                damage(root, second)
            case "garbage":
                (root / second.version / "manifest.json").write_text("{}")
            case "deleted":
                shutil.rmtree(root / second.version)

        async def scenario():
            followed = in_use(root)
            await followed.join()
            return followed.current.version, followed.faults

        version, faults = asyncio.run(scenario())

        assert version == first
        assert second.version in faults[0]

    def test_a_new_replica_waits_until_the_stages_have_its_bundle(self, tmp_path, monkeypatch):
        monkeypatch.setattr(world_module, "PAUSE_S", 0.0)
        root, ranker = tmp_path / "bundles", Stage()
        publish_world(root)

        async def scenario():
            followed = in_use(root, {"ranker": ranker.holds})
            joining = asyncio.create_task(followed.join())
            await until(lambda: len(ranker.asked) > 2)
            before = joining.done()
            ranker.has_opened = True
            await joining
            return before

        assert asyncio.run(scenario()) is False

    def test_a_new_replica_waits_for_the_stages_only_for_a_while(self, tmp_path, monkeypatch):
        monkeypatch.setattr(world_module, "STAGES_S", -1.0)
        root, ranker = tmp_path / "bundles", Stage()
        publish_world(root)

        async def scenario():
            followed = in_use(root, {"ranker": ranker.holds})
            await followed.join()
            await followed.join()

        asyncio.run(scenario())

        assert len(ranker.asked) == 1

    def test_a_new_replica_of_an_empty_shop_joins_without_a_bundle(self, tmp_path):
        async def scenario():
            followed = in_use(tmp_path / "bundles", {"ranker": Stage().holds})
            await followed.join()
            return followed.current, followed.faults

        assert asyncio.run(scenario()) == (None, ())

    def test_a_new_replica_does_not_join_where_no_version_can_be_opened(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(bundle_shelf, "JOIN_S", -1.0)
        root = tmp_path / "bundles"
        damage(root, publish_world(root))

        with pytest.raises(NoBundleOpens, match="is damaged"):
            asyncio.run(in_use(root).join())

    def test_a_refused_one_is_told_once_and_the_next_again(self, tmp_path, monkeypatch):
        monkeypatch.setattr(world_module, "POLL_S", 0.01)
        root = tmp_path / "bundles"
        publish_world(root)
        looks = []

        async def scenario():
            followed = in_use(root)
            await followed.look()
            look = followed.look

            async def counted():
                looks.append(1)
                await look()

            monkeypatch.setattr(followed, "look", counted)
            followed.follow()
            lacking = publish_world(root, variants=("main",))
            await until(lambda: len(looks) > 3)
            damaged = publish_world(root, n_trees=6)
            damage(root, damaged)
            looks.clear()
            await until(lambda: len(looks) > 3)
            return lacking.version, damaged.version

        with logged("ray.serve.recserve.ingress") as records:
            lacking, damaged = asyncio.run(scenario())

        said = [each.getMessage() for each in records if each.levelname == "ERROR"]
        assert f"is in use: bundle {lacking} has no usable model of challenger" in said[0]
        assert f"is in use: bundle {damaged} is damaged: " in said[1]
        assert len(said) == 2

    def test_one_without_a_model_is_better_than_none(self, tmp_path):
        root = tmp_path / "bundles"
        only = publish_world(root, variants=("main",)).version

        async def scenario():
            followed = in_use(root)
            await followed.look()
            return followed.current.version

        assert asyncio.run(scenario()) == only
