import asyncio

import pytest

from serve_app.background import ChangeLogger, repeat


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
