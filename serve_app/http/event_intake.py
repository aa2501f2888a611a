"""Takes posts of events: those that wait travel to ShopWriter together, as one write."""

import time
from collections.abc import Awaitable, Callable, Sequence

from serve_app.domain.posts import (
    Cells,
    EntryFault,
    EventPost,
    NotWritten,
    PostBatch,
    PostOutcome,
    Receipt,
    Refused,
)
from serve_app.errors import EntriesInvalid, NotStored, Overloaded
from serve_app.http.writer_calls import ask_writer
from serve_app.loading.events import check_posts
from serve_app.serving.coalescing import Coalescer
from serve_app.serving.events_config import EventsConfig
from serve_app.telemetry.counting import Telemetry

WriteEvents = Callable[[PostBatch], Awaitable[Sequence[PostOutcome]]]
"""Writes posts; one outcome per post. Raises StageFailed."""


class EventIntake:
    """Stores posts of events, or says why not."""

    def __init__(
        self,
        config: EventsConfig,
        write: WriteEvents,
        shop_id: Callable[[], str],
        telemetry: Telemetry,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``shop_id`` gives that of the served bundle."""
        self._config = config
        self._call = write
        self._shop_id = shop_id
        self._telemetry = telemetry
        self._clock = clock
        self._posts = Coalescer(self._write, config.coalescing, size_of=len)

    async def post(self, events: Sequence[Cells]) -> Receipt:
        """Returns after the events are committed.

        Raises:
            EntriesInvalid: an event is not valid; nothing of the post is stored.
            NotStored: there was no answer in time. The same post again is safe.
            Overloaded: too many events wait.
        """
        n = len(events)
        try:
            outcome = await self._posts.ask(EventPost(events, self._clock()))
        except Overloaded:
            self._telemetry.events_refused("too_many_waiting", n)
            raise
        if isinstance(outcome, Refused):
            self._telemetry.events_refused("invalid", n)
            raise EntriesInvalid(outcome.faults)
        if isinstance(outcome, NotWritten):
            self._telemetry.events_refused(outcome.reason, n)
            raise NotStored(outcome.reason, self._config.retry_after_s)
        n_differing = len(outcome.differing)
        self._telemetry.events(
            accepted=outcome.n_accepted,
            repeated=outcome.n_repeated - n_differing,
            differing=n_differing,
        )
        return outcome

    def faults(self, events: Sequence[Cells]) -> tuple[EntryFault, ...]:
        """Everything that is wrong with some events. Nothing is stored."""
        if not events:
            return ()
        now_at = self._clock()
        [checked] = check_posts([EventPost(events, now_at)], self._config.rules, now_at)
        return checked if isinstance(checked, tuple) else ()

    async def _write(self, posts: Sequence[EventPost]) -> Sequence[PostOutcome]:
        """Makes one call for all posts. A failure is an outcome: the call is not divided."""
        call = self._call(PostBatch(tuple(posts), self._shop_id()))
        outcomes = await ask_writer(call, self._config.deadline_s, self._telemetry)
        return [outcomes] * len(posts) if isinstance(outcomes, NotWritten) else outcomes
