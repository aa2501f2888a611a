"""Tests deadlines of calls that ignore cancellations."""

import asyncio

import pytest

from serve_app.database.detached import DetachedCalls


class Stubborn:
    """Ends at its n-th cancellation only, as calls of psycopg do when the server is frozen."""

    def __init__(self, n_cancellations: int) -> None:
        self.left = n_cancellations
        self.ended = asyncio.Event()

    async def __call__(self) -> None:
        try:
            while self.left:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.left -= 1
            raise asyncio.CancelledError
        finally:
            self.ended.set()


def test_gives_the_answer_of_a_call_that_is_in_time() -> None:
    async def call() -> int:
        return 7

    async def ask() -> int:
        return await DetachedCalls().within(5, call())

    assert asyncio.run(ask()) == 7


def test_passes_on_the_error_of_a_call() -> None:
    async def call() -> None:
        raise ValueError("mine")

    async def ask() -> None:
        await DetachedCalls().within(5, call())

    with pytest.raises(ValueError, match="mine"):
        asyncio.run(ask())


@pytest.mark.parametrize("n_cancellations", [1, 2])
def test_abandons_a_late_call_and_ends_it(n_cancellations: int) -> None:
    async def ask() -> None:
        calls = DetachedCalls()
        stubborn = Stubborn(n_cancellations)
        with pytest.raises(TimeoutError):
            await calls.within(0.001, stubborn())
        assert not stubborn.ended.is_set()
        await calls.close()
        assert stubborn.ended.is_set()

    asyncio.run(ask())


def test_ends_the_call_of_a_cancelled_caller() -> None:
    async def ask() -> None:
        calls = DetachedCalls()
        stubborn = Stubborn(2)
        caller = asyncio.create_task(calls.within(60, stubborn()))
        await asyncio.wait({caller}, timeout=0.001)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await calls.close()
        assert stubborn.ended.is_set()

    asyncio.run(ask())
