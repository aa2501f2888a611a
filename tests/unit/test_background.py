import asyncio

import pytest

from serve_app.background import ChangeLogger, SharedCall, repeat


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
