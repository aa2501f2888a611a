import asyncio
from contextvars import ContextVar

import pytest

from serve_app.errors import Overloaded, StageFailed
from serve_app.serving.coalescing import MAX_RUNS, Coalescer, CoalescingConfig


class Gate:
    """Answers a batch once it is opened; remembers the batches."""

    def __init__(self):
        self.batches = []
        self.open = asyncio.Event()

    async def __call__(self, questions):
        self.batches.append(list(questions))
        await self.open.wait()
        return [question * 10 for question in questions]


async def ask_all(coalescer, questions):
    """All are waiting once this returns."""
    tasks = [asyncio.create_task(coalescer.ask(question)) for question in questions]
    await asyncio.sleep(0)
    return tasks


def run(test):
    return asyncio.run(asyncio.wait_for(test, 10))


def test_a_lone_question_leaves_at_once():
    async def test():
        gate = Gate()
        gate.open.set()
        return await Coalescer(gate, CoalescingConfig()).ask(4), gate.batches

    assert run(test()) == (40, [[4]])


def test_what_arrives_while_all_slots_are_taken_leaves_together():
    async def test():
        gate = Gate()
        coalescer = Coalescer(gate, CoalescingConfig(max_in_flight=2))
        tasks = await ask_all(coalescer, [1, 2, 3, 4, 5])
        await asyncio.sleep(0)
        gate.open.set()
        return await asyncio.gather(*tasks), gate.batches

    answers, batches = run(test())
    assert answers == [10, 20, 30, 40, 50]
    assert batches == [[1], [2], [3, 4, 5]]


def test_a_batch_has_a_largest_size():
    async def test():
        gate = Gate()
        coalescer = Coalescer(gate, CoalescingConfig(max_in_flight=1, max_batch=2))
        tasks = await ask_all(coalescer, [1, 2, 3, 4])
        gate.open.set()
        await asyncio.gather(*tasks)
        return gate.batches

    assert run(test()) == [[1], [2, 3], [4]]


def test_refuses_when_too_many_wait():
    async def test():
        gate = Gate()
        coalescer = Coalescer(
            gate, CoalescingConfig(max_in_flight=1, max_waiting=2, retry_after_s=3)
        )
        tasks = await ask_all(coalescer, [1, 2, 3])
        with pytest.raises(Overloaded) as refused:
            await coalescer.ask(4)
        gate.open.set()
        assert await asyncio.gather(*tasks) == [10, 20, 30]
        return refused.value.retry_after_s

    assert run(test()) == 3


def test_refuses_once_somebody_has_waited_too_long():
    async def test():
        gate, now_s = Gate(), [100.0]
        coalescer = Coalescer(
            gate, CoalescingConfig(max_in_flight=1, max_wait_s=0.5), clock=lambda: now_s[0]
        )
        tasks = await ask_all(coalescer, [1, 2])
        now_s[0] += 0.5
        tasks += await ask_all(coalescer, [3])
        now_s[0] += 0.1
        with pytest.raises(Overloaded):
            await coalescer.ask(4)
        gate.open.set()
        assert await asyncio.gather(*tasks) == [10, 20, 30]
        return await coalescer.ask(5)

    assert run(test()) == 50


def test_an_asker_who_left_does_not_travel():
    async def test():
        gate = Gate()
        coalescer = Coalescer(gate, CoalescingConfig(max_in_flight=1))
        first, second, third = await ask_all(coalescer, [1, 2, 3])
        second.cancel()
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(first, third)
        return gate.batches

    assert run(test()) == [[1], [3]]


def test_an_asker_who_leaves_on_the_way_harms_nobody():
    async def test():
        gate = Gate()
        coalescer = Coalescer(gate, CoalescingConfig(max_in_flight=1))
        _, second, third = await ask_all(coalescer, [1, 2, 3])
        gate.open.set()
        await asyncio.sleep(0)
        second.cancel()
        return await third

    assert run(test()) == 30


async def answer_all(process, questions):
    """The answer to each question when all but the first travel together."""
    coalescer = Coalescer(process, CoalescingConfig(max_in_flight=1))
    tasks = await ask_all(coalescer, questions)
    return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("faulty", [{7}, {3, 60}, {1, 2}])
def test_the_error_of_a_question_reaches_nobody_else(faulty):
    n_runs = 0

    async def process(questions):
        nonlocal n_runs
        n_runs += 1
        await asyncio.sleep(0)
        if faulty & set(questions):
            raise ZeroDivisionError
        return questions

    outcomes = run(answer_all(process, range(65)))

    assert n_runs <= MAX_RUNS + 1
    for question, outcome in enumerate(outcomes):
        if question in faulty:
            assert isinstance(outcome, ZeroDivisionError)
        else:
            assert outcome == question


def test_a_fault_of_all_questions_costs_a_bounded_number_of_runs():
    n_runs = 0

    async def process(questions):
        nonlocal n_runs
        n_runs += 1
        await asyncio.sleep(0)
        raise ZeroDivisionError

    outcomes = run(answer_all(process, range(65)))

    assert all(isinstance(outcome, ZeroDivisionError) for outcome in outcomes)
    assert n_runs < 2 * MAX_RUNS


def test_a_batch_that_is_stopped_leaves_nobody_waiting():
    async def test():
        async def process(questions):
            raise asyncio.CancelledError

        coalescer = Coalescer(process, CoalescingConfig())
        with pytest.raises(StageFailed, match="batch: cancelled"):
            await coalescer.ask(1)

    run(test())


def test_a_batch_with_too_few_answers_leaves_nobody_waiting():
    async def test():
        async def process(questions):
            return [question for question in questions if question != 3]

        coalescer = Coalescer(process, CoalescingConfig(max_in_flight=1))
        tasks = await ask_all(coalescer, [1, 2, 3])
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = run(test())
    assert (first, second) == (1, 2)
    assert isinstance(third, ValueError)


def test_a_batch_travels_in_nobodys_context():
    async def test():
        asker = ContextVar("asker", default="nobody")
        seen = []

        async def process(questions):
            seen.append(asker.get())
            return questions

        coalescer = Coalescer(process, CoalescingConfig(max_in_flight=1))

        async def ask(name):
            asker.set(name)
            await coalescer.ask(name)

        await asyncio.gather(ask("ann"), ask("bob"))
        return seen

    assert run(test()) == ["nobody", "nobody"]


def test_questions_count_by_their_size():
    async def test():
        gate = Gate()
        config = CoalescingConfig(max_in_flight=1, max_batch=5, max_waiting=13)
        coalescer = Coalescer(gate, config, size_of=lambda question: question)
        tasks = await ask_all(coalescer, [1, 2, 3, 7, 1])
        with pytest.raises(Overloaded):
            await coalescer.ask(1)
        gate.open.set()
        await asyncio.gather(*tasks)
        return gate.batches

    # The question of size 7 is larger than a batch, and travels alone.
    assert run(test()) == [[1], [2, 3], [7], [1]]
