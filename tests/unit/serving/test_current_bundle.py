import asyncio
from itertools import pairwise

import numpy as np
import pytest

from serve_app.arrays.columns import MISSING
from serve_app.arrays.units import DAY_S
from serve_app.bundles.bundle import open_bundle
from serve_app.errors import BundleError, StageFailed
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.recommending.ranking.ordering import RankingConfig, fused_scores, ranking_batch
from serve_app.recommending.scoring.model_features import SOURCE_RANKS, SOURCES
from serve_app.serving import current_bundle as world_module
from serve_app.serving.current_bundle import BundleFollower, CurrentBundle
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


def in_use(root):
    return BundleFollower(location_of(root), VARIANTS, CandidatesConfig(), RankingConfig())


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

    def test_the_first_is_taken_up_at_once_and_the_next_when_the_others_have_it(
        self, tmp_path, monkeypatch
    ):
        pauses = []

        async def pause(seconds):
            pauses.append(seconds)

        root = tmp_path / "bundles"
        first = publish_world(root).version

        async def scenario():
            followed = in_use(root)
            await followed.look()
            seen = [followed.current.version, list(pauses)]
            second = publish_world(root, n_trees=6).version
            with monkeypatch.context() as patched:
                patched.setattr(world_module.asyncio, "sleep", pause)
                await followed.look()
            return seen, second, followed.current.version

        seen, second, used = asyncio.run(scenario())

        assert seen == [first, []]
        assert used == second
        assert world_module.SETTLING_S in pauses

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

    def test_a_damaged_one_is_refused_and_the_one_before_stays(self, tmp_path):
        root = tmp_path / "bundles"
        first = publish_world(root).version

        async def scenario():
            followed = in_use(root)
            await followed.look()
            damage(root, publish_world(root, n_trees=6))
            with pytest.raises(StageFailed, match="bundle: BundleDamaged"):
                await followed.look()
            return followed.current.version

        assert asyncio.run(scenario()) == first

    def test_one_without_a_model_that_is_served_is_refused_and_the_one_before_stays(self, tmp_path):
        root = tmp_path / "bundles"
        first = publish_world(root).version

        async def scenario():
            followed = in_use(root)
            await followed.look()
            publish_world(root, variants=("main",))
            with pytest.raises(BundleError, match="has no usable model of challenger"):
                await followed.look()
            return followed.current.version

        assert asyncio.run(scenario()) == first

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
        start = "the bundle in use stays: bundle"
        assert said[0] == f"{start} {lacking} has no usable model of challenger"
        assert said[1].startswith(f"{start} {damaged} is damaged: ")
        assert len(said) == 2

    def test_one_without_a_model_is_better_than_none(self, tmp_path):
        root = tmp_path / "bundles"
        only = publish_world(root, variants=("main",)).version

        async def scenario():
            followed = in_use(root)
            await followed.look()
            return followed.current.version

        assert asyncio.run(scenario()) == only
