"""Combines the questions that wait for a free slot into a batch. There is no timer."""

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

Input = TypeVar("Input")
Output = TypeVar("Output")


class CoalescingConfig(Settings):
    """Limits the batches of one ingress replica, and the requests that wait for them."""

    max_in_flight: int = Field(
        default=2, ge=1, description="Batches of one ingress replica under way at the same time."
    )
    max_batch: int = Field(default=64, ge=1, description="Most requests in one batch.")
    max_waiting: int = Field(
        default=512,
        ge=1,
        description="Most requests that wait in one replica. Others are refused with status 429.",
    )
    max_wait_s: float = Field(
        default=2.0,
        gt=0,
        description="Longest wait of a request in seconds. While one has waited longer, new "
        "requests are refused with status 429. This bounds the wait on a machine of any speed.",
    )
    retry_after_s: int = Field(
        default=1, ge=1, description="Seconds that the `Retry-After` header of a refusal names."
    )


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Input, Output]):
    question: Input
    answer: "asyncio.Future[Output]"
    since_s: float


class Coalescer(Generic[Input, Output]):
    """Lets at most ``max_in_flight`` batches be under way.

    At low load a batch is one question and leaves at once. At high load batches grow, because
    questions arrive while all slots are taken. Not safe for threads: one event loop runs it all.
    """

    def __init__(
        self,
        process: Callable[[Sequence[Input]], Awaitable[Sequence[Output]]],
        config: CoalescingConfig,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``process`` answers a batch: one answer per question, in order."""
        self._process = process
        self._config = config
        self._clock = clock
        self._waiting: deque[_Waiting[Input, Output]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()

    async def ask(self, question: Input) -> Output:
        """Waits for the answer; raises the error of the question's batch.

        Raises:
            Overloaded: ``max_waiting`` others wait already, or one has waited ``max_wait_s``.
            StageFailed: the batch was cancelled.
        """
        now_s = self._clock()
        if self._is_full(now_s):
            raise Overloaded(self._config.retry_after_s)
        answer: asyncio.Future[Output] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(question, answer, now_s))
        self._leave()
        return await answer

    def _is_full(self, now_s: float) -> bool:
        if not self._waiting:
            return False
        # The deque is in order of arrival: its first question has waited longest.
        waited_s = now_s - self._waiting[0].since_s
        return len(self._waiting) >= self._config.max_waiting or waited_s > self._config.max_wait_s

    def _leave(self) -> None:
        while self._waiting and len(self._under_way) < self._config.max_in_flight:
            batch = self._next_batch()
            if not batch:  # Every waiting question was cancelled.
                return
            # Use an empty context. Serve cancels what was started in the context of a cancelled
            # request, and the request that frees the slot is often not in the batch.
            task = asyncio.create_task(self._travel(batch), context=Context())
            # The set also keeps the task alive: the event loop itself holds tasks weakly.
            self._under_way.add(task)
            task.add_done_callback(self._arrive)

    def _next_batch(self) -> list[_Waiting[Input, Output]]:
        """Takes the questions that have waited longest, except cancelled ones."""
        batch: list[_Waiting[Input, Output]] = []
        while self._waiting and len(batch) < self._config.max_batch:
            waiting = self._waiting.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
        return batch

    def _arrive(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        self._leave()

    async def _travel(self, batch: Sequence[_Waiting[Input, Output]]) -> None:
        try:
            answers = await self._process([waiting.question for waiting in batch])
            for waiting, answer in zip(batch, answers, strict=True):
                # A request can be cancelled while its batch is under way; setting the result of
                # a cancelled future would raise.
                if not waiting.answer.done():
                    waiting.answer.set_result(answer)
        except Exception as error:
            # Each question of the batch gets the error; a task would only log it.
            _fail(batch, error)
        except asyncio.CancelledError:
            # A plain CancelledError would look as if each waiting request had been cancelled.
            _fail(batch, StageFailed("batch", "cancelled"))
            raise


def _fail(batch: Sequence[_Waiting[Any, Any]], error: Exception) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
