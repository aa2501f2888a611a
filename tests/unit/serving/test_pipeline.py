import asyncio
import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from serve_app.domain.batches import UserFeatures
from serve_app.domain.filters.allowed_items import AllowedItems
from serve_app.errors import Overloaded, StageFailed, StageTimedOut
from serve_app.recommending.candidates.finding import CandidateFinder, CandidatesConfig
from serve_app.recommending.ranking.ordering import RankingConfig, rank, rank_plainly, ranking_batch
from serve_app.recommending.scoring.model_features import (
    SOURCE_RANKS,
    SOURCES,
    USER_FEATURES,
    unknown_user,
    user_features,
)
from serve_app.serving import pipeline as pipeline_module
from serve_app.serving.pipeline import Deadlines, Floor, Stages, recommend
from tests.support.small_world import batch_of, purchased, small_world

WORLD = small_world()
ALLOWED = AllowedItems(WORLD.fitted.catalogue)
USERS = ("u000001", "u000002", "u000003", "nobody")
VARIANTS = ("main", "challenger", "main", "challenger")
DEADLINES = Deadlines(features_s=0.05, candidates_s=2, scorer_s=0.05, ranker_s=2)


class Observed:
    def __init__(self):
        self.stages, self.replaced = [], {}

    def stage(self, name, duration_s):
        self.stages.append(name)

    def degraded(self, stage, reason, n_requests):
        self.replaced[stage] = (reason, n_requests)


def default_users(batch):
    columns = np.tile(unknown_user(), (len(batch), 1))
    return UserFeatures(user_features(columns, batch.at), np.zeros(len(batch), bool))


def candidates_of(batch, config=CandidatesConfig(), *, stale=False):  # noqa: B008
    histories = WORLD.fitted.archive.read(batch.user_ids, stale=stale)
    return CandidateFinder(WORLD.fitted, ALLOWED, config).find(batch, histories)


FLOOR = Floor(
    users=default_users,
    candidates=lambda batch: candidates_of(
        batch,
        CandidatesConfig.model_validate(
            {source: {"enabled": False} for source in SOURCES if source != "popular"}
        ),
        stale=True,
    ),
    rank=lambda batch: rank_plainly(batch, WORLD.fitted.catalogue, RankingConfig()),
)


async def users(batch):
    return default_users(batch)


async def candidates(batch):
    return candidates_of(batch)


def scorer(sign):
    async def score(batch):
        assert batch.user_features.shape[1] == len(USER_FEATURES)
        return sign * batch.rows.astype(np.float32)

    return score


async def ranker(batch):
    return rank(batch, WORLD.fitted.catalogue, RankingConfig())


STAGES = Stages(users, candidates, {"main": scorer(1), "challenger": scorer(-1)}, ranker)


async def down(_):
    raise StageFailed("any", "connection_refused")


async def never(_):
    await asyncio.Event().wait()


async def bug(_):
    raise ZeroDivisionError


def run(batch=None, **replaced):
    observed = Observed()
    stages = replace(STAGES, **replaced)
    batch = batch or batch_of(USERS)
    answers = asyncio.run(recommend(batch, VARIANTS, stages, FLOOR, DEADLINES, observed))
    return answers, observed


def lists(answers):
    bounds = answers.ranked.offsets
    return [answers.ranked.rows[a:b] for a, b in pairwise(bounds)]


def assert_good_lists(answers, n=10):
    for user, rows in zip(USERS, lists(answers), strict=True):
        assert len(rows) == n
        assert len(set(rows.tolist())) == n
        bought = purchased(WORLD.fitted.archive.read([user], stale=False).of_user(0))
        assert not np.isin(rows, bought).any()


def test_answers_with_every_stage():
    answers, observed = run()

    assert_good_lists(answers)
    assert answers.degraded == ((), (), (), ())
    assert sorted(observed.stages) == [
        "candidates",
        "features",
        "ranker",
        "scorer-challenger",
        "scorer-main",
    ]


def test_each_variant_scores_its_own_requests():
    # Two deployments of the same user in one batch, one for each variant, disagree.
    batch = batch_of(("nobody",) * 4)

    answers, _ = run(batch)

    first, second, third, fourth = (each.tolist() for each in lists(answers))
    assert first == third
    assert second == fourth
    assert first != second


@pytest.mark.parametrize("failing", [down, never], ids=["failed", "late"])
def test_default_features_stand_in_for_the_feature_stage(failing):
    answers, _ = run(users=failing)

    assert_good_lists(answers)
    assert answers.degraded == (("features",),) * 4


@pytest.mark.parametrize("failing", [down], ids=["failed"])
def test_falls_back_to_popular_items_when_the_candidate_stage_is_down(failing):
    answers, observed = run(candidates=failing)

    assert_good_lists(answers)
    offered = np.isfinite(answers.candidates.features[:, SOURCE_RANKS]).any(axis=0)
    assert [name for name, is_there in zip(SOURCES, offered, strict=True) if is_there] == [
        "popular"
    ]
    assert answers.degraded == (("candidates",),) * 4
    assert observed.replaced["candidates"] == ("connection_refused", 4)


@pytest.mark.parametrize("failing", [down, never], ids=["failed", "late"])
def test_the_sources_own_order_stands_in_for_a_scorer(failing):
    answers, _ = run(scorers={"main": scorer(1), "challenger": failing})

    assert_good_lists(answers)
    assert answers.degraded == ((), ("scorer-challenger",), (), ("scorer-challenger",))


def test_plain_order_stands_in_for_the_ranker():
    answers, _ = run(rank=down)

    assert_good_lists(answers)
    assert answers.degraded == (("ranker",),) * 4
    for i in range(len(USERS)):
        own = slice(answers.ranked.offsets[i], answers.ranked.offsets[i + 1])
        assert (np.diff(answers.ranked.scores[own]) <= 0).all()


def test_answers_when_everything_is_down():
    scorers = {"main": down, "challenger": down}

    answers, _ = run(users=down, candidates=down, scorers=scorers, rank=down)

    assert_good_lists(answers)
    assert set(answers.degraded[0]) == {"features", "candidates", "scorer-main", "ranker"}


def test_names_only_the_requests_whose_features_are_defaults():
    async def partly(batch):
        return replace(default_users(batch), defaulted=np.array([False, True, False, False]))

    answers, observed = run(users=partly)

    assert answers.degraded == ((), ("features",), (), ())
    assert observed.replaced["features"] == ("store_unavailable", 1)


def test_names_the_history_when_it_came_from_the_archive():
    async def stale(batch):
        return candidates_of(batch, stale=True)

    answers, _ = run(candidates=stale)

    assert answers.degraded == (("history",),) * 4


def test_tells_the_observer_how_late_a_stage_was():
    _, observed = run(users=never)

    assert observed.replaced["features"] == ("timed_out", 4)
    assert str(StageTimedOut("features", 0.05)) == "features: no answer within 50 ms"


def test_does_not_hide_a_bug():
    with pytest.raises(ZeroDivisionError):
        run(users=bug)


def test_scores_that_are_not_finite_rank_last():
    async def partly_nan(batch):
        scores = batch.rows.astype(np.float32)
        scores[::2] = np.nan
        return scores

    answers, _ = run(scorers={"main": partly_nan, "challenger": partly_nan}, rank=down)

    for i in range(len(USERS)):
        own = slice(answers.ranked.offsets[i], answers.ranked.offsets[i + 1])
        assert np.isfinite(answers.ranked.scores[own]).all()


def test_ranking_honours_each_requests_size():
    batch = replace(batch_of(USERS), sizes=np.array([1, 5, 100, 7], np.int32))
    found = candidates_of(batch)

    ranked = rank(
        ranking_batch(found, batch.sizes, found.rows.astype(np.float32)),
        WORLD.fitted.catalogue,
        RankingConfig(),
    )

    assert np.diff(ranked.offsets).tolist() == [1, 5, 100, 7]


class TestFloorBesideTheLoop:
    @pytest.mark.parametrize("part", ["candidates", "rank"])
    def test_the_loop_goes_on_while_the_floor_computes(self, part):
        begun, has_run = threading.Event(), threading.Event()
        compute = getattr(FLOOR, part)

        def compute_when_the_loop_has_run(batch):
            begun.set()
            return has_run.wait(2) and compute(batch)

        floor = replace(FLOOR, **{part: compute_when_the_loop_has_run})
        stages = replace(STAGES, candidates=down, rank=down)

        async def scenario():
            answers = asyncio.create_task(
                recommend(batch_of(USERS), VARIANTS, stages, floor, DEADLINES, Observed())
            )
            await asyncio.to_thread(begun.wait)
            has_run.set()
            return await answers

        assert len(lists(asyncio.run(scenario()))) == len(USERS)

    def test_requests_are_refused_while_earlier_ones_keep_the_floor_busy(self, monkeypatch):
        monkeypatch.setattr(pipeline_module, "FLOOR_S", 0.01)
        release = threading.Event()
        floor = replace(FLOOR, candidates=lambda batch: release.wait(10))
        stages = replace(STAGES, candidates=down)

        async def scenario():
            with pytest.raises(Overloaded):
                await recommend(batch_of(USERS), VARIANTS, stages, floor, DEADLINES, Observed())
            release.set()

        asyncio.run(scenario())
