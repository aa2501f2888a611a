"""Tests the law: after an event is acknowledged, no later answer is computed without it.

The state machine chooses the order of all steps, and what happens to stores and processes. The
scenes are the shortest ways to break the law without one part of the mechanism.
"""

from collections.abc import Callable, Iterator, Mapping

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.support.interleaved_stores import EPOCH_S, HISTORY_S, World

USERS = st.sampled_from(["ann", "ann", "ann", "bob"])
ANY = st.integers(0, 7)

FAULTS: Mapping[str, Callable[[World, int], None]] = {
    "a command times out": lambda world, i: world.time_out(i),
    "its bytes arrive late": lambda world, _: world.arrive_late(),
    "a process ends": lambda world, i: world.kill(i),
    "redis restarts": lambda world, i: world.restart(i),
    "an earlier primary is back": lambda world, i: world.fail_back(i, i // 2),
    "redis evicts a key": lambda world, i: world.lose(i),
    "redis is away": lambda world, _: setattr(world.redis, "is_away", True),
    "redis is full": lambda world, _: setattr(world.redis, "is_full", True),
    "postgres is away": lambda world, _: setattr(world, "postgres_is_away", True),
    "a load ends": lambda world, _: world.load(),
    "time passes": lambda world, i: world.pass_time([1.0, HISTORY_S, EPOCH_S][i % 3]),
}


class FreshnessLaw(RuleBasedStateMachine):
    """Readers, writers and stores, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    def teardown(self) -> None:
        self.world.close()

    @rule(process=st.integers(0, 1), user_id=USERS, n=ANY)
    def ask(self, process: int, user_id: str, n: int) -> None:
        self.world.ask(process, user_id)
        self.go_on(-1, n)

    @rule(user_id=USERS, n=ANY)
    def write(self, user_id: str, n: int) -> None:
        self.world.write(user_id)
        self.go_on(-1, n)

    @rule(i=ANY, n=ANY)
    def go_on(self, i: int, n: int) -> None:
        """One task goes on for some steps, and others wait."""
        for _ in range(n):
            self.world.step(i)
            i = -1  # The gate that came last is usually that of the task that went on.

    @rule()
    def finish(self) -> None:
        self.world.finish()

    @rule()
    def all_stores_are_back(self) -> None:
        self.world.redis.is_away = self.world.redis.is_full = False
        self.world.postgres_is_away = False

    @rule()
    def save(self) -> None:
        self.world.save()

    @rule(fault=st.sampled_from(sorted(FAULTS)), i=ANY)
    def fail(self, fault: str, i: int) -> None:
        FAULTS[fault](self.world, i)

    @invariant()
    def no_answer_lacks_an_acknowledged_event(self) -> None:
        assert self.world.violations == []


TestFreshnessLaw = FreshnessLaw.TestCase
TestFreshnessLaw.settings = settings(
    max_examples=500,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def let(world: World, name: str) -> None:
    """Lets all steps go on up to the one with a name, which goes on waiting."""
    while name not in [gate.name for gate in world.gates]:
        world.step(0)


def position(world: World, name: str) -> int:
    return [gate.name for gate in world.gates].index(name)


def answer(world: World, process: int = 0) -> None:
    """Asks, and waits for the answer and what is written back."""
    n_answers = world.n_answers
    world.ask(process, "ann")
    world.finish()
    assert world.n_answers > n_answers


def write(world: World) -> None:
    world.write("ann")
    world.finish()


def assert_kept(world: World) -> None:
    answer(world)
    answer(world, process=1)
    assert world.acknowledged
    assert world.violations == []


def test_an_event_ends_cached_answers_and_histories(world: World) -> None:
    answer(world)
    write(world)
    assert_kept(world)


def test_a_load_ends_cached_answers_and_histories(world: World) -> None:
    answer(world)
    world.load()
    world.finish()
    assert_kept(world)


@pytest.mark.parametrize("at", ["query", "rows", "set", "set answered"])
def test_a_process_that_was_frozen_writes_back_late(world: World, at: str) -> None:
    world.ask(0, "ann")
    let(world, at)
    frozen = world.gates.pop(position(world, at))
    write(world)
    world.gates.append(frozen)
    world.finish()
    assert_kept(world)


@pytest.mark.parametrize("lost", range(4))
def test_redis_evicts_keys_before_and_after_an_event(world: World, lost: int) -> None:
    """Absence must not be a stamp: values of the time without an epoch would count again."""
    answer(world)
    world.redis.values.pop("epoch:user:ann")
    answer(world)
    write(world)
    world.lose(lost)
    assert_kept(world)


def test_the_epoch_of_the_shop_is_evicted_before_and_after_a_load(world: World) -> None:
    answer(world)
    world.redis.values.pop("epoch")
    answer(world)
    world.load()
    world.finish()
    world.redis.values.pop("epoch")
    assert_kept(world)


def test_redis_restarts_with_data_from_before_the_event(world: World) -> None:
    answer(world)
    world.save()
    write(world)
    world.restart(-1)
    assert_kept(world)


def test_redis_restarts_between_the_read_of_no_epoch_and_its_draw(world: World) -> None:
    """The draw finds the old epoch: it must not count for a value of the read before."""
    answer(world)
    world.save()
    write(world)
    world.ask(0, "ann")
    let(world, "draw")
    world.restart(-1)
    world.finish()
    assert_kept(world)


def test_a_server_is_primary_again_that_missed_the_event(world: World) -> None:
    answer(world)
    world.save()
    world.restart(-1)
    write(world)
    world.fail_back(1, server=0)
    assert_kept(world)


def test_redis_is_away_at_the_acknowledgement_and_comes_back(world: World) -> None:
    answer(world)
    world.redis.is_away = True
    write(world)
    world.redis.is_away = False
    world.finish()
    # Repeated by now, hence before the acknowledged time is over.
    world.acknowledged = [(user, event, world.now_s) for user, event, _ in world.acknowledged]
    assert_kept(world)


def test_a_writer_dies_that_could_not_make_an_event_visible(world: World) -> None:
    """A reader was frozen meanwhile; its value counts no longer than its epoch."""
    world.ask(0, "ann")
    let(world, "set")
    frozen = [world.gates.pop() for _ in range(len(world.gates))]
    world.redis.is_away = True
    write(world)
    while world.gates:
        world.kill(0)
    world.redis.is_away = False
    world.pass_time(EPOCH_S)
    world.gates += frozen
    world.finish()
    assert_kept(world)


def test_a_change_during_a_repeat_is_repeated_again(world: World) -> None:
    answer(world)
    world.redis.is_away = True
    write(world)
    world.redis.is_away = False
    let(world, "remove answered")
    answers = [world.gates.pop() for _ in range(len(world.gates))]
    answer(world)
    world.redis.is_away = True
    world.write("ann")
    let(world, "remove")
    world.step(0)
    world.redis.is_away = False
    world.gates += answers
    world.finish()
    world.acknowledged = [(user, event, world.now_s) for user, event, _ in world.acknowledged]
    assert_kept(world)


def test_a_redis_without_memory_makes_events_visible(world: World) -> None:
    answer(world)
    world.redis.is_full = True
    write(world)
    assert [from_s for _, _, from_s in world.acknowledged] == [world.now_s]
    world.redis.is_full = False
    assert_kept(world)
