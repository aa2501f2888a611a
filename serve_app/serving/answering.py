"""Answers questions: looks in the cache, sends batches through the stages, composes the JSON."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain

import numpy as np

from serve_app.domain.batches import RequestBatch
from serve_app.domain.scoring.model_features import SOURCE_RANKS, SOURCES
from serve_app.errors import StageFailed, StoreUnavailable
from serve_app.serving.coalescing import Coalescer
from serve_app.serving.composing import Metadata, compose, described, item_ids
from serve_app.serving.config import AppConfig
from serve_app.serving.current_bundle import CurrentBundle
from serve_app.serving.pipeline import Answers, Stages, recommend
from serve_app.serving.questions import Answer, Question, answer_key
from serve_app.stores.cache import Cache
from serve_app.stores.epochs import read_current_values, with_epoch
from serve_app.stores.reading import ReadResult
from serve_app.stores.records import ItemRow
from serve_app.telemetry.counting import Telemetry

_logger = logging.getLogger("ray.serve.recserve.ingress")

METADATA, BUNDLE = "metadata", "bundle"

NO_BUNDLE = Answer(b"[]", 0, "", (BUNDLE,))
"""The answer before the first bundle is published: an empty list."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question, and the bundle that was current when it was asked.

    Attributes:
        epoch: of the caches when it was asked; ``None`` when its answer is not to be kept.
    """

    question: Question
    current: CurrentBundle
    epoch: bytes | None


ItemsStage = Callable[[Sequence[str]], Awaitable[ReadResult[ItemRow]]]


@dataclass(frozen=True, slots=True)
class _Shown:
    """
    Attributes:
        metadata: by item id.
        replaced: ids for which the catalogue stands in for the stores, and why it does.
    """

    metadata: Mapping[str, Metadata]
    replaced: frozenset[str]
    reason: str


class RecommendationService:
    """Takes questions one at a time, and sends those that wait through the graph together."""

    def __init__(
        self,
        config: AppConfig,
        stages: Stages,
        items: ItemsStage,
        cache: Cache,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            items: metadata by item id.
            clock: epoch seconds.
        """
        self._config = config
        self._settings = config.model_dump_json()
        self._stages = stages
        self._items = items
        self._cache = cache
        self._telemetry = telemetry
        self._clock = clock
        # One look-up serves all questions that wait. With a second queue of limited batches before
        # that of the graph, a question could wait twice as long as ``max_wait_s`` allows.
        at_once = {"max_batch": config.coalescing.max_waiting}
        self._lookups = Coalescer(self._look_up, config.coalescing.model_copy(update=at_once))
        self._graph = Coalescer(self._answer, config.coalescing)
        self._writes: set[asyncio.Task[None]] = set()

    async def recommend(self, question: Question, current: CurrentBundle) -> Answer:
        """
        Raises:
            Overloaded: too many questions wait.
        """
        epoch = None
        if self._config.result_cache.enabled:
            key = answer_key(question, current.version, self._settings)
            epoch, found = await self._lookups.ask(key)
            self._telemetry.cache(hits=int(found is not None), misses=int(found is None))
            if found is not None:
                return Answer(found, found.count(b'"item_id"'), current.version, cached=True)
        return await self._graph.ask(_Asked(question, current, epoch))

    async def _look_up(self, keys: Sequence[str]) -> list[tuple[bytes | None, bytes | None]]:
        """The epoch and the answer of each, ``None`` where there is none."""
        try:
            current = await read_current_values(self._cache, keys)
        except StoreUnavailable as failure:
            _logger.warning("answers are not read from the cache: %s", failure)
            return [(None, None)] * len(keys)
        return [(current.epoch, answer) for answer in current.values]

    async def _answer(self, asked: Sequence[_Asked]) -> list[Answer]:
        """Answer a batch from one bundle: the newest that was current for any of its questions."""
        current = asked[-1].current
        questions = [each.question for each in asked]
        batch = RequestBatch(
            bundle=current.version,
            user_ids=tuple(each.user_id for each in questions),
            sizes=np.array([each.n for each in questions], np.int32),
            filters=tuple(each.wanted for each in questions),
            at=current.clock(self._clock()),
        )
        self._telemetry.batch(len(batch))
        answers = await recommend(
            batch,
            [each.variant for each in questions],
            self._stages,
            current.floor,
            self._config.deadlines,
            self._telemetry,
        )
        self._count_sources(answers)
        composed = await self._compose(questions, answers, current)
        self._keep(asked, composed)
        return composed

    async def _compose(
        self, questions: Sequence[Question], answers: Answers, current: CurrentBundle
    ) -> list[Answer]:
        catalogue, ranked = current.bundle.fitted.catalogue, answers.ranked
        wanted = {
            i: item_ids(ranked, i, catalogue)
            for i, each in enumerate(questions)
            if each.include_metadata
        }
        shown = await self._shown(
            list(dict.fromkeys(chain.from_iterable(wanted.values()))), current
        )
        replaced = {i for i, ids in wanted.items() if not shown.replaced.isdisjoint(ids)}
        if replaced:
            self._telemetry.degraded(METADATA, shown.reason, len(replaced))
        return [
            Answer(
                compose(ranked, i, catalogue, shown.metadata if i in wanted else None),
                int(ranked.offsets[i + 1] - ranked.offsets[i]),
                current.version,
                answers.degraded[i] + ((METADATA,) if i in replaced else ()),
            )
            for i in range(len(questions))
        ]

    async def _shown(self, ids: Sequence[str], current: CurrentBundle) -> _Shown:
        if not ids:
            return _Shown({}, frozenset(), "")
        try:
            async with asyncio.timeout(self._config.deadlines.features_s):
                found = await self._items(ids)
            reason = "store_unavailable"
        except (StageFailed, TimeoutError) as failure:
            found = ReadResult({}, frozenset(ids))
            reason = failure.reason if isinstance(failure, StageFailed) else "timed_out"
        metadata: dict[str, Metadata] = {
            item_id: asdict(row) for item_id, row in found.values.items()
        }
        catalogue = current.bundle.fitted.catalogue
        metadata |= {item_id: described(item_id, catalogue) for item_id in found.unanswered}
        return _Shown(metadata, found.unanswered, reason)

    def _keep(self, asked: Sequence[_Asked], answers: Sequence[Answer]) -> None:
        """Cache the answers, except degraded ones: the next answer may be complete."""
        values: dict[str, bytes] = {}
        for each, answer in zip(asked, answers, strict=True):
            if each.epoch is not None and not answer.degraded:
                key = answer_key(each.question, answer.version, self._settings)
                values |= with_epoch(each.epoch, {key: answer.recommendations})
        if not values:
            return
        task = asyncio.create_task(self._write(values))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write(self, values: Mapping[str, bytes]) -> None:
        try:
            await self._cache.set_many(values, self._config.result_cache.ttl_s)
        except StoreUnavailable as failure:
            _logger.warning("answers are not kept in the cache: %s", failure)

    def _count_sources(self, answers: Answers) -> None:
        found = np.isfinite(answers.candidates.features[:, SOURCE_RANKS]).sum(axis=0)
        self._telemetry.candidates(dict(zip(SOURCES, found.tolist(), strict=True)))
