"""Answers questions: looks in the cache, sends batches through the stages, composes the JSON."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain

import numpy as np

from serve_app.database.records import ItemRow
from serve_app.domain.batches import MetadataBatch, RankedBatch, RequestBatch
from serve_app.domain.item_patches import ItemNames
from serve_app.errors import StageFailed, StoreUnavailable
from serve_app.live.overlay import Live
from serve_app.recommending.scoring.model_features import SOURCE_RANKS, SOURCES
from serve_app.serving.coalescing import Coalescer
from serve_app.serving.composing import Metadata, compose, describe, item_ids
from serve_app.serving.config import AppConfig
from serve_app.serving.costly_filters import MAX_BATCH, CostlyFilters
from serve_app.serving.current_bundle import CurrentBundle
from serve_app.serving.pipeline import Answers, Stages, recommend
from serve_app.serving.questions import (
    Answer,
    Question,
    answer_key,
    decode_answer,
    encode_answer,
    pack_rows,
    still_holds,
)
from serve_app.stores.cache import Cache
from serve_app.stores.epochs import read_current_values, user_epoch, with_stamp
from serve_app.stores.reads_apart import ReadResult
from serve_app.telemetry.counting import Telemetry

_logger = logging.getLogger("ray.serve.recserve.ingress")

METADATA, BUNDLE = "metadata", "bundle"

NO_BUNDLE = Answer(b"[]", 0, "", (BUNDLE,))
"""The answer before the first bundle is published: an empty list."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question, and the bundle that was current when it was asked.

    Attributes:
        stamp: of the cache at that time; ``None`` if the answer is not to be cached.
    """

    question: Question
    current: CurrentBundle
    stamp: bytes | None


@dataclass(frozen=True, slots=True)
class _LookUp:
    shop_id: str
    user_id: str
    key: str


def _sellable(answers: Answers, live: Live) -> RankedBatch:
    """The lists without items that the ingress knows to be sold out or withdrawn.

    Only a list of an earlier revision can hold some.
    """
    if answers.candidates.revision >= live.revision:
        return answers.ranked
    return answers.ranked.without(~live.fitted.catalogue.sellable[answers.ranked.rows])


ItemsStage = Callable[[MetadataBatch], Awaitable[ReadResult[ItemRow]]]


class RecommendationService:
    """Answers one question at a time; those that wait travel through the stages together."""

    def __init__(
        self,
        config: AppConfig,
        stages: Stages,
        items: ItemsStage,
        cache: Cache,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        # Part of every cache key: answers under other settings are other answers.
        self._settings = config.model_dump_json()
        self._stages = stages
        self._items = items
        self._cache = cache
        self._telemetry = telemetry
        self._clock = clock
        # Look-ups have a coalescer of their own: otherwise a cached answer would wait for computed
        # ones. One look-up takes all that wait. With limited batches, a question could wait in both
        # queues, twice as long as ``max_wait_s`` allows.
        at_once = {"max_batch": config.coalescing.max_waiting}
        self._lookups = Coalescer(self._look_up, config.coalescing.model_copy(update=at_once))
        self._graph = Coalescer(self._answer, config.coalescing)
        small = {"max_in_flight": 1, "max_batch": MAX_BATCH}
        self._costly = Coalescer(self._answer, config.coalescing.model_copy(update=small))
        self._filters = CostlyFilters()
        # Keeps the tasks alive: the event loop itself holds tasks weakly.
        self._writes: set[asyncio.Task[None]] = set()

    async def recommend(self, question: Question, current: CurrentBundle) -> Answer:
        """Answers a question; raises Overloaded if too many questions wait."""
        stamp = None
        # Lists of another moment would fill the cache: nobody asks for one twice.
        if self._config.result_cache.enabled and question.at is None:
            key = answer_key(question, current.version, self._settings)
            look_up = _LookUp(current.shop_id, question.user_id, key)
            stamp, cached = await self._lookups.ask(look_up)
            known = cached and decode_answer(cached, current.version, current.order)
            if known and not still_holds(known, question, current.live):
                known = None
            self._telemetry.cache(hits=int(known is not None), misses=int(known is None))
            if known:
                return known
        n_rows = len(current.bundle.fitted.catalogue)
        is_costly = self._filters.is_costly(question.wanted, current.version, n_rows)
        queue = self._costly if is_costly else self._graph
        return await queue.ask(_Asked(question, current, stamp))

    async def _look_up(self, asked: Sequence[_LookUp]) -> list[tuple[bytes | None, bytes | None]]:
        """Reads the stamp for a new answer, and the answer of each key if there is one."""
        # One shop, except while the ingress changes from the bundle of one to that of another. The
        # keys name the bundle: looked up among those of the other shop, an answer is not found.
        shop_id = asked[-1].shop_id
        cache = self._cache.of_shop(shop_id)
        owners, keys = [user_epoch(one.user_id) for one in asked], [one.key for one in asked]
        try:
            current = await read_current_values(cache, owners, keys, self._config.ttls.epoch_s)
        except StoreUnavailable as failure:
            _logger.warning("answers are not read from the cache: %s", failure)
            # Without a stamp the new answers are not cached either: their age is unknown.
            return [(None, None)] * len(asked)
        return [
            (stamp, answer) if one.shop_id == shop_id else (None, None)
            for one, stamp, answer in zip(asked, current.stamps, current.values, strict=True)
        ]

    async def _answer(self, asked: Sequence[_Asked]) -> list[Answer]:
        """Answers a batch from one bundle: the one that its last question saw."""
        # The last question usually arrived last, and saw the newest bundle. A slow look-up can
        # change the order; stages keep both bundles open, hence either is right.
        current = asked[-1].current
        questions = [one.question for one in asked]
        now_at = self._clock()
        moments = [now_at if one.at is None else one.at for one in questions]
        batch = RequestBatch(
            bundle=current.version,
            user_ids=tuple(question.user_id for question in questions),
            sizes=np.array([question.n for question in questions], np.int32),
            filters=tuple(question.wanted for question in questions),
            at=np.array([current.features_at(at) for at in moments]),
            shop_id=current.shop_id,
            revision=current.live.revision,
        )
        self._telemetry.batch(len(batch))
        answers = await recommend(
            batch,
            [question.variant for question in questions],
            self._stages,
            current.floor,
            self._config.deadlines,
            self._telemetry,
        )
        self._count_sources(answers)
        composed = await self._compose(questions, answers, current)
        self._keep(asked, composed, current.shop_id)
        return composed

    async def _compose(
        self, questions: Sequence[Question], answers: Answers, current: CurrentBundle
    ) -> list[Answer]:
        ranked = _sellable(answers, current.live)
        # Whatever the ingress knows by now, all names are those of the batch's own revision.
        names = ItemNames.of(current.bundle.fitted.catalogue, answers.candidates.names)
        listed = {
            i: item_ids(ranked, i, names)
            for i, question in enumerate(questions)
            if question.include_metadata
        }
        # Popular items are in many lists: the batch reads each of them once.
        ids = list(dict.fromkeys(chain.from_iterable(listed.values())))
        metadata, reason = await self._read_metadata(ids, current)
        replaced = {i for i, ids in listed.items() if not metadata.unanswered.isdisjoint(ids)}
        if replaced:
            self._telemetry.degraded(METADATA, reason, len(replaced))
        composed: list[Answer] = []
        for i in range(len(questions)):
            shown = metadata.values if i in listed else None
            content = compose(ranked, i, names, current.live.fitted.catalogue, shown)
            if not content.is_whole and i not in replaced:
                replaced.add(i)
                self._telemetry.degraded(METADATA, "unwritable", 1)
            composed.append(
                Answer(
                    content.json,
                    int(ranked.offsets[i + 1] - ranked.offsets[i]),
                    current.version,
                    answers.degraded[i] + ((METADATA,) if i in replaced else ()),
                    order=current.order,
                    revision=answers.candidates.revision,
                    rows=pack_rows(ranked.rows[ranked.offsets[i] : ranked.offsets[i + 1]]),
                )
            )
        return composed

    async def _read_metadata(
        self, ids: Sequence[str], current: CurrentBundle
    ) -> tuple[ReadResult[Metadata], str]:
        """Reads metadata; the catalogue describes items for which no store answers."""
        rows: ReadResult[ItemRow] = ReadResult({})
        reason = "store_unavailable"
        try:
            if ids:
                async with asyncio.timeout(self._config.deadlines.features_s):
                    rows = await self._items(MetadataBatch(tuple(ids), current.shop_id))
        except (StageFailed, TimeoutError) as failure:
            rows = ReadResult({}, frozenset(ids))
            reason = failure.reason if isinstance(failure, StageFailed) else "timed_out"
        metadata: dict[str, Metadata] = {key: asdict(row) for key, row in rows.values.items()}
        catalogue = current.live.fitted.catalogue
        metadata |= {item_id: describe(item_id, catalogue) for item_id in rows.unanswered}
        return ReadResult(metadata, rows.unanswered), reason

    def _keep(self, asked: Sequence[_Asked], answers: Sequence[Answer], shop_id: str) -> None:
        """Caches the answers, except degraded ones: the next answer may be complete."""
        values: dict[str, bytes] = {}
        for one, answer in zip(asked, answers, strict=True):
            if one.stamp is not None and not answer.degraded:
                # The key of the version that answered, which may be newer than the one looked up.
                key = answer_key(one.question, answer.version, self._settings)
                values[key] = with_stamp(one.stamp, encode_answer(answer))
        if not values:
            return
        # A task of its own: the answers of the batch do not wait for the cache.
        task = asyncio.create_task(self._write(values, shop_id))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write(self, values: Mapping[str, bytes], shop_id: str) -> None:
        try:
            await self._cache.of_shop(shop_id).set_many(values, self._config.result_cache.ttl_s)
        except StoreUnavailable as failure:
            _logger.warning("answers are not kept in the cache: %s", failure)

    def _count_sources(self, answers: Answers) -> None:
        # A source that did not offer a candidate gives it the rank NaN.
        counts = np.isfinite(answers.candidates.features[:, SOURCE_RANKS]).sum(axis=0)
        self._telemetry.candidates(dict(zip(SOURCES, counts.tolist(), strict=True)))
