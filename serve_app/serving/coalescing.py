"""Combines the questions that wait for a free slot into a batch. There is no timer."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import Field

from serve_app.domain.settings import Settings
from serve_app.errors import Overloaded, StageFailed

_logger = logging.getLogger("ray.serve.recserve.ingress")

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
        *,
        size_of: Callable[[Input], int] = lambda question: 1,
    ) -> None:
        """
        Args:
            process: answers a batch: one answer per question, in order.
            size_of: by how much a question counts towards ``max_batch`` and ``max_waiting``.
        """
        self._process = process
        self._config = config
        self._clock = clock
        self._size_of = size_of
        self._waiting: deque[_Waiting[Input, Output]] = deque()
        self._waiting_size = 0
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
        self._waiting_size += self._size_of(question)
        self._leave()
        return await answer

    def _is_full(self, now_s: float) -> bool:
        if not self._waiting:
            return False
        # The deque is in order of arrival: its first question has waited longest.
        waited_s = now_s - self._waiting[0].since_s
        return self._waiting_size >= self._config.max_waiting or waited_s > self._config.max_wait_s

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
        left = self._config.max_batch
        # A question larger than a batch is one by itself.
        while self._waiting and (not batch or self._size_of(self._waiting[0].question) <= left):
            waiting = self._waiting.popleft()
            size = self._size_of(waiting.question)
            self._waiting_size -= size
            if not waiting.answer.done():
                batch.append(waiting)
                left -= size
        return batch

    def _arrive(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        self._leave()

    async def _travel(self, batch: Sequence[_Waiting[Input, Output]]) -> None:
        try:
            outcomes = await _Bisection(self._process).outcomes([one.question for one in batch])
        except asyncio.CancelledError:
            # A plain CancelledError would look as if each waiting request had been cancelled.
            _settle(batch, [_Failure(StageFailed("batch", "cancelled"))] * len(batch))
            raise
        _settle(batch, outcomes)


@dataclass(frozen=True, slots=True)
class _Failure:
    error: Exception


MAX_RUNS = 32
"""Runs of one batch, in halves and their halves. Two faulty questions among 64 need about 22."""


class _Bisection(Generic[Input, Output]):
    """Answers a batch. If that fails, answers its halves: the fault of one question stays its own.

    Questions only read, so they can be asked again.
    """

    def __init__(self, process: Callable[[Sequence[Input]], Awaitable[Sequence[Output]]]) -> None:
        self._process = process
        self._n_runs = 0

    async def outcomes(self, questions: Sequence[Input]) -> list[Output | _Failure]:
        self._n_runs += 1
        try:
            answers = await self._process(questions)
            if len(answers) != len(questions):
                raise ValueError(f"{len(answers)} answers to {len(questions)} questions")
        except Exception as error:
            if len(questions) == 1 or self._n_runs >= MAX_RUNS:
                return [_Failure(error)] * len(questions)
            _logger.exception("a batch of %d failed and is asked in halves", len(questions))
        else:
            return list(answers)
        middle = len(questions) // 2
        first = await self.outcomes(questions[:middle])
        return [*first, *await self.outcomes(questions[middle:])]


def _settle(batch: Sequence[_Waiting[Any, Output]], outcomes: Sequence[Output | _Failure]) -> None:
    for waiting, outcome in zip(batch, outcomes, strict=True):
        # A request can be cancelled while its batch is under way; setting the result of a
        # cancelled future would raise.
        if waiting.answer.done():
            continue
        if isinstance(outcome, _Failure):
            waiting.answer.set_exception(outcome.error)
        else:
            waiting.answer.set_result(outcome)
