"""Tests the pool of connections with connections that need no server."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from serve_app.database.connection_pool import MAX_AGE_S, MAX_IDLE_S, ConnectionPool
from serve_app.database.failures import OUTDATED
from serve_app.errors import StoreUnavailable
from tests.support.in_process import until


class Wire:
    """Stands for a connection: a pair of sockets, of which the test holds the server's."""

    def __init__(self) -> None:
        self._here, self.server = socket.socketpair()
        self.closed = False
        self.info = SimpleNamespace(transaction_status=TransactionStatus.IDLE)
        self.pgconn = SimpleNamespace(finish=self._finish)

    def fileno(self) -> int:
        return self._here.fileno()

    def _finish(self) -> None:
        self.closed = True
        self._here.close()
        self.server.close()


class Opener:
    """Opens wires, or fails while it is told to."""

    def __init__(self) -> None:
        self.opened: list[Wire] = []
        self.failure: Exception | None = None
        self.n_attempts = 0
        self.now_s = 0.0

    async def connect(self) -> Any:
        self.n_attempts += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.opened.append(Wire())
        return self.opened[-1]

    @property
    def n_open(self) -> int:
        return sum(not wire.closed for wire in self.opened)


def play(scene: Callable[[ConnectionPool, Opener], Awaitable[None]]) -> None:
    async def run() -> None:
        opener = Opener()
        pool = ConnectionPool(
            opener.connect, size=2, max_waiting=2, pause_s=0.001, clock=lambda: opener.now_s
        )
        async with asyncio.timeout(10):
            await scene(pool, opener)
            await pool.close()
        assert opener.n_open == 0

    asyncio.run(run())


async def use(pool: ConnectionPool, release: asyncio.Event | None = None) -> Any:
    async with pool.connection() as conn:
        if release is not None:
            await release.wait()
        return conn


async def open_two(pool: ConnectionPool, opener: Opener) -> None:
    """Leaves two idle connections, which two queries at once have opened."""
    release = asyncio.Event()
    users = [asyncio.create_task(use(pool, release)) for _ in range(2)]
    await until(lambda: opener.n_open == 2)
    release.set()
    await asyncio.gather(*users)


def test_opens_one_connection_and_others_on_demand() -> None:
    async def scene(pool: ConnectionPool, opener: Opener) -> None:
        assert await use(pool) is await use(pool)
        assert len(opener.opened) == 1
        release = asyncio.Event()
        users = [asyncio.create_task(use(pool, release)) for _ in range(3)]
        await until(lambda: len(opener.opened) == 2)
        release.set()
        await asyncio.gather(*users)
        assert len(opener.opened) == 2

    play(scene)


def test_a_query_that_gave_up_waits_no_longer() -> None:
    async def scene(pool: ConnectionPool, opener: Opener) -> None:
        release = asyncio.Event()
        holders = [asyncio.create_task(use(pool, release)) for _ in range(2)]
        await until(lambda: len(opener.opened) == 2)
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await use(pool)
        waiting = [asyncio.create_task(use(pool)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match="too_many_waiting"):
            await use(pool)
        release.set()
        await asyncio.gather(*holders, *waiting)

    play(scene)


def test_fails_at_once_while_no_server_is_there_and_tries_for_ever() -> None:
    async def scene(pool: ConnectionPool, opener: Opener) -> None:
        opener.failure = psycopg.OperationalError("refused")
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="unreachable"):
                await use(pool)
        await until(lambda: opener.n_attempts > 5)
        opener.failure = None
        await until(lambda: opener.n_open == 1)
        await use(pool)

    play(scene)


def test_a_failure_to_grow_fails_no_query() -> None:
    async def scene(pool: ConnectionPool, opener: Opener) -> None:
        release = asyncio.Event()
        holder = asyncio.create_task(use(pool, release))
        await until(lambda: opener.n_open == 1)
        opener.failure = psycopg.OperationalError("too many clients")
        waiting = asyncio.create_task(use(pool))
        await until(lambda: opener.n_attempts > 3)
        release.set()
        assert await waiting is await holder

    play(scene)


def test_a_connection_that_was_closed_is_replaced_before_it_is_used() -> None:
    async def scene(pool: ConnectionPool, opener: Opener) -> None:
        (await use(pool)).server.close()
        assert await use(pool) is opener.opened[1]
        assert opener.opened[0].closed

    play(scene)


def test_a_connection_that_broke_in_use_takes_the_idle_ones_with_it() -> None:
    async def scene(pool: ConnectionPool, opener: Opener) -> None:
        await open_two(pool, opener)
        async with pool.connection() as conn:
            conn.info.transaction_status = TransactionStatus.ACTIVE  # type: ignore[misc]
        assert [wire.closed for wire in opener.opened] == [True, True]
        assert await use(pool) is opener.opened[2]

    play(scene)


@pytest.mark.parametrize("kind", OUTDATED)
def test_work_on_an_outdated_session_runs_once_more_on_another(kind: type[Exception]) -> None:
    async def scene(pool: ConnectionPool, opener: Opener) -> None:
        used = []

        async def work(conn: Any) -> str:
            used.append(conn)
            if len(used) == 1:
                raise kind("the statement is of no use any more")
            return "done"

        assert await pool.run(work) == "done"
        assert used == opener.opened[:2]
        assert [wire.closed for wire in used] == [True, False]

    play(scene)


def test_work_that_is_outdated_on_a_new_session_too_fails() -> None:
    async def scene(pool: ConnectionPool, opener: Opener) -> None:
        async def work(conn: Any) -> None:
            raise psycopg.errors.FeatureNotSupported("of no use on any session")

        with pytest.raises(psycopg.errors.FeatureNotSupported):
            await pool.run(work)
        assert len(opener.opened) == 2

    play(scene)


def test_replaces_old_connections_and_closes_those_that_nobody_needs() -> None:
    async def scene(pool: ConnectionPool, opener: Opener) -> None:
        await open_two(pool, opener)
        opener.now_s = MAX_IDLE_S + 1
        kept = await use(pool)
        assert opener.n_open == 1
        opener.now_s = MAX_AGE_S + 1
        assert await use(pool) is kept
        assert kept.closed
        await until(lambda: opener.n_open == 1)

    play(scene)


def test_a_query_that_is_cancelled_as_it_gets_its_connection_gives_it_back() -> None:
    async def scene(pool: ConnectionPool, opener: Opener) -> None:
        async with pool.connection() as first:
            async with pool.connection():
                waiting = asyncio.create_task(use(pool))
                await asyncio.sleep(0)
            # The second connection is promised now, but nobody has taken it yet.
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert await use(pool) is not first
        assert len(opener.opened) == 2

    play(scene)


def test_waits_no_longer_when_it_is_closed() -> None:
    async def scene(pool: ConnectionPool, opener: Opener) -> None:
        release = asyncio.Event()
        holders = [asyncio.create_task(use(pool, release)) for _ in range(2)]
        await until(lambda: opener.n_open == 2)
        waiting = asyncio.create_task(use(pool))
        await asyncio.sleep(0)
        await pool.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            await waiting
        release.set()
        await asyncio.gather(*holders)

    play(scene)


def test_logs_a_failure_once_and_no_password(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(pool: ConnectionPool, opener: Opener) -> None:
        opener.failure = psycopg.ProgrammingError("bad URL postgresql://me:secret@host")
        with pytest.raises(StoreUnavailable, match="ProgrammingError"):
            await use(pool)
        await until(lambda: opener.n_attempts > 3)

    play(scene)

    assert [record.getMessage() for record in caplog.records] == [
        "no connection to PostgreSQL: ProgrammingError"
    ]
