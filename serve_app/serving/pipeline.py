"""Calls the stages for a batch in this order, and replaces those that fail or are late.

    features  ┐
              ├──► scorers, one per variant in the batch, at the same time ──► ranker
    candidates┘

Every call goes out from ``recommend`` and comes back to it: stages do not call each other. The
result without failures equals that of ``recommending.recommend_batch``. This module adds
deadlines, and the floor that replaces stages. A deadline covers two attempts: ``serving.calls``
repeats a call whose replica dies. This module imports neither Ray nor a store: the stages are
coroutine functions (see ``app``).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
from serve_app.domain.posts import NotWritten, PostBatch, PostOutcome
from serve_app.domain.settings import Settings
from serve_app.domain.shop_requests import ShopOutcome, ShopRequest
from serve_app.errors import Overloaded, StageFailed, StageTimedOut
from serve_app.recommending.ranking.ordering import fused_scores, ranking_batch

FEATURES, CANDIDATES, RANKER = "features", "candidates", "ranker"
WRITER = "writer"
"""Not a part of an answer: it stores what the shop reports."""

CATALOGUE = "catalogue"
"""Named in ``degraded`` if items may have changed since the revision that the list was made of."""

HISTORY = "history"
"""Named in ``degraded`` for users whose history came from the bundle instead of a store."""


def scorer_of(variant: str) -> str:
    """Name of the stage that scores for a variant."""
    return f"scorer-{variant}"


class Deadlines(Settings):
    """Seconds that the pipeline waits for each stage before it replaces the stage.

    By default the first two exceed the timeouts of both stores together (``StoresConfig``), plus
    the call itself. Keep it so: a stage can then answer while a store is down, and name the users
    that this affects.
    """

    features_s: float = Field(
        default=0.4, gt=0, description="Seconds to wait for user features, and again for metadata."
    )
    candidates_s: float = Field(
        default=0.6, gt=0, description="Seconds to wait for CandidateGenerator."
    )
    scorer_s: float = Field(default=0.6, gt=0, description="Seconds to wait for each scorer.")
    ranker_s: float = Field(default=0.4, gt=0, description="Seconds to wait for Ranker.")


async def no_writer(batch: PostBatch) -> Sequence[PostOutcome]:
    """Stands for a writer that does not run."""
    return [NotWritten("no_writer")] * len(batch.posts)


async def no_shop(asked: tuple[ShopRequest, str]) -> ShopOutcome:
    """Stands for a writer that does not run."""
    return NotWritten("no_writer")


@dataclass(frozen=True, slots=True)
class Stages:
    """The calls of the pipeline. Each raises ``StageFailed`` if it cannot answer.

    Attributes:
        silent_stores: not part of an answer: for the stages that read stores, the seconds by store
            of those that have not answered for at least the seconds given.
        holders: by stage, tells whether all replicas of the stage have opened a version.
        write_events: not part of an answer either: stores posts, one outcome for each.
        ask_shop: carries out a request about items or users, on the shop of the id beside it.
    """

    users: Callable[[RequestBatch], Awaitable[UserFeatures]]
    candidates: Callable[[RequestBatch], Awaitable[CandidateBatch]]
    scorers: Mapping[str, Callable[[ScoringBatch], Awaitable[NDArray[np.float32]]]]
    rank: Callable[[RankingBatch], Awaitable[RankedBatch]]
    silent_stores: Mapping[str, Callable[[float], Awaitable[Mapping[str, float]]]] = field(
        default_factory=dict
    )
    holders: Mapping[str, Callable[[str], Awaitable[bool]]] = field(default_factory=dict)
    write_events: Callable[[PostBatch], Awaitable[Sequence[PostOutcome]]] = no_writer
    ask_shop: Callable[[tuple[ShopRequest, str]], Awaitable[ShopOutcome]] = no_shop


@dataclass(frozen=True, slots=True)
class Floor:
    """Replaces all stages but the scorers, whose requests keep the fused scores.

    ``serving.current_bundle`` builds it from each bundle. It runs in the process of the ingress.
    """

    users: Callable[[RequestBatch], UserFeatures]
    candidates: Callable[[RequestBatch], CandidateBatch]
    rank: Callable[[RankingBatch], RankedBatch]


class Observer(Protocol):
    """Receives events of the pipeline. Its methods must not fail and must not block."""

    def stage(self, name: str, duration_s: float) -> None: ...

    def degraded(self, stage: str, reason: str, n_requests: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Answers:
    """The lists of a batch, and the candidates that they were chosen from.

    Attributes:
        degraded: per request, the stages that were replaced, in the order of the graph.
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
    """Answers a batch; degrades rather than fails.

    Args:
        variants: one per request, keys of ``stages.scorers``.
    """
    run = _Run(batch, stages, floor, deadlines, observer)
    # Neither call needs the other's answer: the batch waits for the slower one only. Both replace
    # failures themselves, so ``gather`` raises only for a bug, which fails the batch anyway.
    users, candidates = await asyncio.gather(run.users(), run.candidates())
    scores = await run.scores(variants, users, candidates)
    ranked = await run.rank(ranking_batch(candidates, batch.sizes, scores))
    return Answers(ranked, candidates, run.degraded())


Result = TypeVar("Result")
Argument = TypeVar("Argument")

FLOOR_S = 2.0
"""Longest time for the floor. Requests that would wait longer are refused with status 429."""

_floor_thread = ThreadPoolExecutor(1, thread_name_prefix="floor")


async def _in_thread(compute: Callable[[Argument], Result], argument: Argument) -> Result:
    """Compute a part of the floor beside the event loop, which all requests share.

    Raises:
        Overloaded: earlier batches keep the floor busy.
    """
    # One thread: the masks of the floor are for one only.
    computed = asyncio.get_running_loop().run_in_executor(_floor_thread, compute, argument)
    try:
        async with asyncio.timeout(FLOOR_S):
            return await computed
    except TimeoutError as error:
        raise Overloaded(retry_after_s=1) from error


@dataclass(slots=True)
class _Run:
    """The state of one batch.

    Attributes:
        replaced: for each stage that was replaced, a mask of the requests, shape (n_requests,).
    """

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
            return await _in_thread(self.floor.candidates, self.batch)
        self._replace(HISTORY, "store_unavailable", candidates.stale)
        self._replace(CATALOGUE, "behind", np.full(len(self.batch), candidates.is_behind))
        return candidates

    async def scores(
        self, variants: Sequence[str], users: UserFeatures, candidates: CandidateBatch
    ) -> NDArray[np.float32]:
        """Asks each variant's scorer for the scores of its requests, all at the same time."""
        # Requests whose scorer fails keep the fused scores. A copy, because writing to a view
        # would change the candidates, which the ranker and the caller still read.
        scores = fused_scores(candidates).copy()
        batch, names = ScoringBatch.of(candidates, users.values, self.batch.at), np.array(variants)

        async def score(variant: str) -> None:
            requests = np.flatnonzero(names == variant)
            part, positions = batch.part(requests)
            stage, call = scorer_of(variant), self.stages.scorers[variant](part)
            part_scores = await self._within(stage, self.deadlines.scorer_s, call, requests)
            # Positions of different variants are disjoint: the order of answers does not matter.
            if part_scores is not None:
                scores[positions] = part_scores

        # A dict, unlike a set, keeps the order of the variants, and with it that of the calls.
        await asyncio.gather(*(score(variant) for variant in dict.fromkeys(variants)))
        return scores

    async def rank(self, batch: RankingBatch) -> RankedBatch:
        ranked = await self._within(RANKER, self.deadlines.ranker_s, self.stages.rank(batch))
        return await _in_thread(self.floor.rank, batch) if ranked is None else ranked

    def degraded(self) -> tuple[tuple[str, ...], ...]:
        scorers = (scorer_of(variant) for variant in self.stages.scorers)
        order = (FEATURES, HISTORY, CATALOGUE, CANDIDATES, *scorers, RANKER)
        stages = [(stage, self.replaced[stage]) for stage in order if stage in self.replaced]
        return tuple(
            tuple(stage for stage, replaced in stages if replaced[i])
            for i in range(len(self.batch))
        )

    async def _within(
        self,
        stage: str,
        deadline_s: float,
        call: Awaitable[Result],
        requests: NDArray[np.intp] | None = None,
    ) -> Result | None:
        """Awaits the stage's answer; ``None`` if the stage has to be replaced.

        Args:
            requests: positions of the requests that the stage was asked for; all by default.
        """
        started_at = time.perf_counter()
        try:
            # The timeout also cancels the call: nobody would use a late answer.
            async with asyncio.timeout(deadline_s):
                return await call
        except TimeoutError:
            failure: StageFailed = StageTimedOut(stage, deadline_s)
        except StageFailed as error:
            failure = error
        # Any other error is a bug in this process. It fails the batch: a fallback would hide it.
        finally:
            # Failed calls count too: without them, a slow stage would look fast.
            self.observer.stage(stage, time.perf_counter() - started_at)
        affected = np.zeros(len(self.batch), bool)
        affected[slice(None) if requests is None else requests] = True
        self._replace(stage, failure.reason, affected)
        return None

    def _replace(self, stage: str, reason: str, affected: NDArray[np.bool_]) -> None:
        n_requests = int(affected.sum())
        if not n_requests:  # A batch without defaults or stale histories is not degraded.
            return
        self.observer.degraded(stage, reason, n_requests)
        # Each stage is replaced at most once per batch: nothing is overwritten.
        self.replaced[stage] = affected
