import asyncio
from contextvars import ContextVar

import pytest

from serve_app.background import ChangeLogger, RepeatedStep, SharedCall, repeat


@pytest.fixture
def logged():
    return []


@pytest.fixture
def problems(logged):
    return ChangeLogger(logged.append)


def test_logs_a_repeated_problem_once(problems, logged):
    for _ in range(3):
        problems.log("v1", "damaged")

    assert logged == ["damaged"]


def test_logs_each_change_of_a_problem(problems, logged):
    for message in ("damaged", "gone", "damaged"):
        problems.log("v1", message)

    assert logged == ["damaged", "gone", "damaged"]


def test_keeps_the_problems_of_two_subjects_apart(problems, logged):
    for _ in range(2):
        problems.log("v1", "one is damaged")
        problems.log("v2", "two is damaged")

    assert logged == ["one is damaged", "two is damaged"]


def test_logs_a_problem_again_after_it_was_resolved(problems, logged):
    problems.log("v1", "damaged")
    problems.resolved("v1")
    problems.log("v1", "damaged")

    assert logged == ["damaged"] * 2


def test_logs_a_step_that_fails_and_runs_it_again(caplog):
    steps = []

    async def step():
        steps.append(len(steps))
        if len(steps) == 1:
            raise ZeroDivisionError
        if len(steps) == 3:
            raise asyncio.CancelledError

    async def scenario():
        await asyncio.gather(repeat(step, 0), return_exceptions=True)

    asyncio.run(scenario())

    assert steps == [0, 1, 2]
    assert "step failed and is tried again" in caplog.text
    assert "ZeroDivisionError" in caplog.text


class TestRepeatedStep:
    def test_repeats_its_step_once_however_often_it_is_started(self):
        n_steps = 0

        async def step():
            nonlocal n_steps
            n_steps += 1

        async def scene():
            repeated = RepeatedStep(step)
            for _ in range(3):
                repeated.start(period_s=0)
            await asyncio.sleep(0)
            assert n_steps == 1
            while n_steps < 5:
                await asyncio.sleep(0)

        asyncio.run(scene())

    def test_waits_for_the_period_between_two_steps(self):
        steps = []

        async def step():
            steps.append(None)

        async def scene():
            RepeatedStep(step).start(period_s=1_000)
            for _ in range(5):
                await asyncio.sleep(0)

        asyncio.run(scene())

        assert len(steps) == 1

    def test_knows_nothing_of_the_request_that_started_it(self):
        request = ContextVar("request", default="none")
        seen = []

        async def step():
            seen.append(request.get())

        async def scene():
            request.set("the one that came first")
            RepeatedStep(step).start(period_s=1_000)
            await asyncio.sleep(0)

        asyncio.run(scene())

        assert seen == ["none"]


class TestSharedCall:
    @staticmethod
    def counted(ends, calls):
        async def call():
            calls.append(None)
            await ends.wait()
            return len(calls)

        return SharedCall(call)

    def test_callers_that_give_up_and_come_again_share_one_call(self):
        async def scene():
            ends, calls = asyncio.Event(), []
            shared = self.counted(ends, calls)
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(shared.result(), 0.001)
            waiting = [asyncio.create_task(shared.result()) for _ in range(2)]
            ends.set()
            assert await asyncio.gather(*waiting) == [1, 1]
            assert await shared.result() == 2

        asyncio.run(scene())

    def test_a_late_result_serves_the_next_caller(self):
        async def scene():
            ends, calls = asyncio.Event(), []
            shared = self.counted(ends, calls)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(shared.result(), 0.001)
            ends.set()
            assert await shared.result() == 1

        asyncio.run(scene())

    def test_a_failure_reaches_every_caller(self):
        async def fail():
            raise OSError("unknown")

        async def scene():
            shared = SharedCall(fail)
            failures = await asyncio.gather(
                shared.result(), shared.result(), return_exceptions=True
            )
            assert [str(failure) for failure in failures] == ["unknown"] * 2
            shared.cancel()

        asyncio.run(scene())

    def test_a_call_that_was_given_up_ends(self):
        async def scene():
            shared = self.counted(asyncio.Event(), [])
            waiting = asyncio.create_task(shared.result())
            await asyncio.sleep(0)
            shared.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

        asyncio.run(scene())
