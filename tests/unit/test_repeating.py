import asyncio

from serve_app.repeating import repeat


def test_a_step_that_fails_is_logged_and_done_again(caplog):
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
