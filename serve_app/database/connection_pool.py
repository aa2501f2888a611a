"""Keeps connections to PostgreSQL for one event loop, through outages of any kind and length.

psycopg_pool would not do. A query that gives up stays in its queue, so a long outage fills the
queue for good; and its pauses between attempts grow.
"""

import asyncio
import logging
import select
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from serve_app.background import ChangeLogger
from serve_app.database.failures import FAILURES, OUTDATED, reason_of
from serve_app.errors import StoreUnavailable

_logger = logging.getLogger("ray.serve.recserve.stores")

AsyncConnection = psycopg.AsyncConnection[Any]

Result = TypeVar("Result")

MAX_AGE_S = 300.0
"""An older connection is replaced: a name may point to another server by now."""

MAX_IDLE_S = 60.0
"""A connection that was not needed for so long is closed."""


@dataclass(slots=True)
class _Open:
    """A connection; times are seconds of the pool's clock."""

    conn: AsyncConnection
    opened_s: float
    used_s: float


class ConnectionPool:
    """At most ``size`` connections; opens the next one when a query would wait.

    One task opens connections, beside the queries. While no attempt succeeds, it tries for ever
    with a constant pause, and queries fail at once instead of waiting. Once used, the pool keeps
    one connection open.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[AsyncConnection]],
        *,
        size: int,
        max_waiting: int,
        pause_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            connect: opens a connection. Raises one of ``FAILURES``, or ``StoreUnavailable``, in
                bounded time.
            max_waiting: queries that may wait for a connection.
            pause_s: between two attempts, after one that failed.
        """
        self._connect = connect
        self._size, self._max_waiting, self._pause_s = size, max_waiting, pause_s
        self._clock = clock
        self._idle: list[_Open] = []  # The last one was used last.
        self._n_lent = 0
        # In order of arrival. A query that gives up leaves at once.
        self._waiting: dict[asyncio.Future[_Open], None] = {}
        self._opener: asyncio.Task[None] | None = None
        self._fault: str | None = None
        self._closed = False
        self._problems = ChangeLogger(_logger.warning)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """
        Raises:
            StoreUnavailable: too many queries wait; or no connection is open, and the last attempt
                failed.
        """
        lent = self._take_idle() or await self._wait()
        try:
            yield lent.conn
        finally:
            self._give_back(lent)

    async def run(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Runs work on a connection, and once more on another one if the first was of no use.

        Args:
            work: may be run twice: a repetition must do no harm.
        """
        async with self.connection() as conn:
            try:
                return await work(conn)
            except OUTDATED:
                conn.pgconn.finish()
            except psycopg.OperationalError:
                # Lost, as after a restart of the server: a new connection is at hand or refused at
                # once. What was written may be committed or not.
                if not conn.broken:
                    raise
        async with self.connection() as conn:
            return await work(conn)

    async def close(self) -> None:
        """Closes the idle connections; lent ones are closed when they come back."""
        self._closed = True
        if self._opener is not None:
            self._opener.cancel()
            await asyncio.wait({self._opener})
        self._close_idle()
        self._fail_waiting("closed")

    def _take_idle(self) -> _Open | None:
        while self._idle:
            taken = self._idle.pop()
            if _is_whole(taken.conn):
                self._n_lent += 1
                return taken
            self._discard(taken)
        return None

    async def _wait(self) -> _Open:
        self._open_if_needed()
        if self._fault is not None and not self._n_lent:
            raise StoreUnavailable("postgres", self._fault)
        if len(self._waiting) >= self._max_waiting:
            raise StoreUnavailable("postgres", "too_many_waiting")
        place: asyncio.Future[_Open] = asyncio.get_running_loop().create_future()
        self._waiting[place] = None
        self._open_if_needed()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self._give_back(place.result())
            raise
        finally:
            self._waiting.pop(place, None)

    def _give_back(self, lent: _Open) -> None:
        self._n_lent -= 1
        now_s = self._clock()
        if lent.conn.closed or lent.conn.info.transaction_status != TransactionStatus.IDLE:
            # The server did not even confirm a cancellation, or went away. The other connections
            # lead to the same server.
            self._discard(lent)
            self._close_idle()
        elif self._closed or now_s - lent.opened_s > MAX_AGE_S:
            self._discard(lent)
        else:
            lent.used_s = now_s
            self._hand_out(lent)
            self._close_unneeded(now_s)
        self._open_if_needed()

    def _hand_out(self, returned: _Open) -> None:
        while self._waiting:
            place = next(iter(self._waiting))
            del self._waiting[place]
            if not place.done():
                self._n_lent += 1
                place.set_result(returned)
                return
        self._idle.append(returned)

    def _close_unneeded(self, now_s: float) -> None:
        if len(self._idle) > 1 and now_s - self._idle[0].used_s > MAX_IDLE_S:
            self._discard(self._idle.pop(0))

    def _close_idle(self) -> None:
        while self._idle:
            self._discard(self._idle.pop())

    def _discard(self, opened: _Open) -> None:
        # Not ``close``, which is a coroutine without need: this does not wait.
        opened.conn.pgconn.finish()

    def _open_if_needed(self) -> None:
        if self._lacks() and (self._opener is None or self._opener.done()):
            # An empty context: Serve cancels what was started in the context of a request.
            self._opener = asyncio.create_task(self._open(), context=Context())

    def _lacks(self) -> bool:
        n_open = len(self._idle) + self._n_lent
        return not self._closed and n_open < self._size and (bool(self._waiting) or n_open == 0)

    async def _open(self) -> None:
        while self._lacks():
            try:
                conn = await self._connect()
            except (*FAILURES, StoreUnavailable) as error:
                self._note_failure(error)
                await asyncio.sleep(self._pause_s)
            else:
                self._fault = None
                self._problems.resolved("connect")
                now_s = self._clock()
                self._n_lent += 1
                self._give_back(_Open(conn, now_s, now_s))

    def _note_failure(self, error: Exception) -> None:
        # The text of other errors may repeat the URL, and with it the password.
        known = isinstance(error, psycopg.OperationalError | StoreUnavailable)
        cause = " ".join(str(error).split()) if known else type(error).__name__
        self._problems.log("connect", f"no connection to PostgreSQL: {cause}")
        if not self._n_lent:
            self._fault = reason_of(error)
            self._fail_waiting(self._fault)

    def _fail_waiting(self, reason: str) -> None:
        for place in self._waiting:
            if not place.done():
                place.set_exception(StoreUnavailable("postgres", reason))
        self._waiting.clear()


def _is_whole(conn: AsyncConnection) -> bool:
    """Tells whether an idle connection can be used; asks the kernel, not the server."""
    if conn.closed:
        return False
    # An idle server sends nothing: what can be read is the end, or the reason for it.
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    return not poll.poll(0)
