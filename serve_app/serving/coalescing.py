"""Combines the questions that wait for a free slot into a batch, without waiting for a timer."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import Field

from serve_app.domain.settings import Settings
from serve_app.errors import Overloaded, StageFailed

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class CoalescingConfig(Settings):
    """Batches of one ingress replica, and when it refuses requests."""

    max_in_flight: int = Field(
        default=2,
        ge=1,
        description="Batches that one ingress replica has under way at the same time.",
    )
    max_batch: int = Field(default=64, ge=1, description="Requests in one batch at most.")
    max_waiting: int = Field(
        default=512,
        ge=1,
        description=(
            "Requests that may wait in one ingress replica. Further ones are refused with status "
            "429."
        ),
    )
    max_wait_s: float = Field(
        default=2.0,
        gt=0,
        description=(
            "Seconds that the longest waiting request may have waited. While one has waited "
            "longer, new requests are refused with status 429. This bounds the waiting time on a "
            "machine of any speed."
        ),
    )
    retry_after_s: int = Field(
        default=1, ge=1, description="Seconds that the `Retry-After` header of a refusal names."
    )


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Question, Answer]):
    question: Question
    answer: "asyncio.Future[Answer]"
    since_s: float


class Coalescer(Generic[Question, Answer]):
    """Lets at most ``max_in_flight`` batches be under way.

    At low load a batch is one question and leaves at once; at high load batches grow by
    themselves, because questions arrive while all slots are taken.
    """

    def __init__(
        self,
        process: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]],
        config: CoalescingConfig,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            process: answers a batch: one answer per question, in order.
            clock: seconds, never going back.
        """
        self._process = process
        self._config = config
        self._clock = clock
        self._waiting: deque[_Waiting[Question, Answer]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question) -> Answer:
        """The answer, or the error of the batch that the question travelled in.

        Raises:
            Overloaded: ``max_waiting`` others wait already, or one has waited ``max_wait_s``.
            StageFailed: the batch was cancelled.
        """
        now_s = self._clock()
        if self._is_full(now_s):
            raise Overloaded(self._config.retry_after_s)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(question, answer, now_s))
        self._leave()
        return await answer

    def _is_full(self, now_s: float) -> bool:
        if not self._waiting:
            return False
        waited_s = now_s - self._waiting[0].since_s
        return len(self._waiting) >= self._config.max_waiting or waited_s > self._config.max_wait_s

    def _leave(self) -> None:
        while self._waiting and len(self._under_way) < self._config.max_in_flight:
            batch = self._next_batch()
            if not batch:
                return
            # Use an empty context. Serve cancels what was started in the context of a cancelled
            # request, and the request that frees the slot is often not in the batch.
            task = asyncio.create_task(self._travel(batch), context=Context())
            self._under_way.add(task)
            task.add_done_callback(self._arrive)

    def _next_batch(self) -> list[_Waiting[Question, Answer]]:
        """The questions that have waited longest, without those that were cancelled meanwhile."""
        batch: list[_Waiting[Question, Answer]] = []
        while self._waiting and len(batch) < self._config.max_batch:
            waiting = self._waiting.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
        return batch

    def _arrive(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        self._leave()

    async def _travel(self, batch: Sequence[_Waiting[Question, Answer]]) -> None:
        try:
            answers = await self._process([each.question for each in batch])
            for each, answer in zip(batch, answers, strict=True):
                if not each.answer.done():
                    each.answer.set_result(answer)
        except (
            Exception
        ) as error:  # Each question of the batch gets the error; a task would only log it.
            _fail(batch, error)
        except asyncio.CancelledError:
            _fail(batch, StageFailed("batch", "cancelled"))
            raise


def _fail(batch: Sequence[_Waiting[Any, Any]], error: Exception) -> None:
    for each in batch:
        if not each.answer.done():
            each.answer.set_exception(error)
