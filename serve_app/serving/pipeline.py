"""Calls the stages for a batch, and replaces those that fail or miss their deadline.

    features  ┐
              ├──► scorers, one per variant, at the same time ──► ranker
    candidates┘

Every call goes out from ``recommend`` and comes back to it: stages do not call each other. The
computation is that of ``domain.recommending``. This module adds deadlines and the floor. It
imports neither Ray nor a store: the stages are coroutine functions (see ``app``).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.domain.batches import (
    CandidateBatch,
    RankedBatch,
    RankingBatch,
    RequestBatch,
    ScoringBatch,
    UserFeatures,
)
from serve_app.domain.ranking.ordering import fused_scores, ranking_batch
from serve_app.domain.settings import Settings
from serve_app.errors import StageFailed, StageTimedOut

FEATURES, CANDIDATES, RANKER, HISTORY = "features", "candidates", "ranker", "history"


def scorer_of(variant: str) -> str:
    """Name of the stage that scores for a variant."""
    return f"scorer-{variant}"


class Deadlines(Settings):
    """Seconds that the pipeline waits for each stage before it replaces the stage.

    The first two are longer than the timeouts of both stores together (``StoresConfig``) and the
    call through the graph. So a stage still answers while a store is down, and names the users for
    whom no store answered.
    """

    features_s: float = Field(
        default=0.4,
        gt=0,
        description=(
            "Seconds to wait for FeatureFetcher: for user features, and again for item metadata."
        ),
    )
    candidates_s: float = Field(
        default=0.6, gt=0, description="Seconds to wait for CandidateGenerator."
    )
    scorer_s: float = Field(default=0.6, gt=0, description="Seconds to wait for each scorer.")
    ranker_s: float = Field(default=0.4, gt=0, description="Seconds to wait for Ranker.")


@dataclass(frozen=True, slots=True)
class Stages:
    """The calls of the pipeline. Each raises ``StageFailed`` if it cannot answer."""

    users: Callable[[RequestBatch], Awaitable[UserFeatures]]
    candidates: Callable[[RequestBatch], Awaitable[CandidateBatch]]
    scorers: Mapping[str, Callable[[ScoringBatch], Awaitable[NDArray[np.float32]]]]
    rank: Callable[[RankingBatch], Awaitable[RankedBatch]]


@dataclass(frozen=True, slots=True)
class Floor:
    """Replaces stages that fail. Computed in the process of the ingress, from the bundle alone."""

    users: Callable[[RequestBatch], UserFeatures]
    candidates: Callable[[RequestBatch], CandidateBatch]
    rank: Callable[[RankingBatch], RankedBatch]


class Observer(Protocol):
    """Receives events of the pipeline. Its methods must not fail and must not block."""

    def stage(self, name: str, duration_s: float) -> None: ...

    def degraded(self, stage: str, reason: str, n_requests: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Answers:
    """
    Attributes:
        ranked: the lists, one per request.
        candidates: what they were chosen from.
        degraded: per request the stages that were replaced, in the order of the graph.
    """

    ranked: RankedBatch
    candidates: CandidateBatch
    degraded: tuple[tuple[str, ...], ...]


async def recommend(
    batch: RequestBatch,
    variants: Sequence[str],
    stages: Stages,
    floor: Floor,
    deadlines: Deadlines,
    observer: Observer,
) -> Answers:
    """Answer a batch; degrade rather than fail.

    Args:
        variants: one per request, keys of ``stages.scorers``.
    """
    run = _Run(batch, stages, floor, deadlines, observer)
    users, candidates = await asyncio.gather(run.users(), run.candidates())
    scores = await run.scores(variants, users, candidates)
    ranked = await run.rank(ranking_batch(candidates, batch.sizes, scores))
    return Answers(ranked, candidates, run.degraded())


Result = TypeVar("Result")


@dataclass(slots=True)
class _Run:
    """The state of one batch: which stage was replaced for which request."""

    batch: RequestBatch
    stages: Stages
    floor: Floor
    deadlines: Deadlines
    observer: Observer
    replaced: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    async def users(self) -> UserFeatures:
        call, deadline_s = self.stages.users(self.batch), self.deadlines.features_s
        users = await self._within(FEATURES, deadline_s, call)
        if users is None:
            return self.floor.users(self.batch)
        self._replace(FEATURES, "store_unavailable", users.defaulted)
        return users

    async def candidates(self) -> CandidateBatch:
        call, deadline_s = self.stages.candidates(self.batch), self.deadlines.candidates_s
        candidates = await self._within(CANDIDATES, deadline_s, call)
        if candidates is None:
            return self.floor.candidates(self.batch)
        self._replace(HISTORY, "store_unavailable", candidates.stale)
        return candidates

    async def scores(
        self, variants: Sequence[str], users: UserFeatures, candidates: CandidateBatch
    ) -> NDArray[np.float32]:
        """Scores from each variant's scorer for its requests; the scorers run at the same time."""
        # The fused scores stay for requests whose scorer fails. Copied: the floor and the ranker
        # read the candidates too.
        scores = fused_scores(candidates).copy()
        batch, names = ScoringBatch.of(candidates, users.values, self.batch.at), np.array(variants)

        async def score(variant: str) -> None:
            requests = np.flatnonzero(names == variant)
            part, positions = batch.part(requests)
            stage, call = scorer_of(variant), self.stages.scorers[variant](part)
            found = await self._within(stage, self.deadlines.scorer_s, call, requests)
            if found is not None:
                scores[positions] = found

        await asyncio.gather(*(score(variant) for variant in dict.fromkeys(variants)))
        return scores

    async def rank(self, batch: RankingBatch) -> RankedBatch:
        ranked = await self._within(RANKER, self.deadlines.ranker_s, self.stages.rank(batch))
        return self.floor.rank(batch) if ranked is None else ranked

    def degraded(self) -> tuple[tuple[str, ...], ...]:
        scorers = (scorer_of(variant) for variant in self.stages.scorers)
        order = (FEATURES, HISTORY, CANDIDATES, *scorers, RANKER)
        found = [(stage, self.replaced[stage]) for stage in order if stage in self.replaced]
        return tuple(
            tuple(stage for stage, requests in found if requests[i]) for i in range(len(self.batch))
        )

    async def _within(
        self,
        stage: str,
        deadline_s: float,
        call: Awaitable[Result],
        requests: NDArray[np.intp] | None = None,
    ) -> Result | None:
        """The stage's answer, or ``None`` when it has to be replaced."""
        started_at = time.perf_counter()
        try:
            async with asyncio.timeout(deadline_s):
                return await call
        except TimeoutError:
            failure: StageFailed = StageTimedOut(stage, deadline_s)
        except StageFailed as error:
            failure = error
        finally:
            self.observer.stage(stage, time.perf_counter() - started_at)
        whom = np.zeros(len(self.batch), bool)
        whom[slice(None) if requests is None else requests] = True
        self._replace(stage, failure.reason, whom)
        return None

    def _replace(self, stage: str, reason: str, requests: NDArray[np.bool_]) -> None:
        n_requests = int(requests.sum())
        if not n_requests:
            return
        self.observer.degraded(stage, reason, n_requests)
        before = self.replaced.get(stage, np.zeros(len(self.batch), bool))
        self.replaced[stage] = before | requests
