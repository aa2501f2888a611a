"""Takes requests about items and users to ShopWriter, a few at a time."""

from collections.abc import Awaitable, Callable, Sequence

from serve_app.domain.posts import NotWritten, Refused
from serve_app.domain.shop_requests import Changed, Found, NotThere, ShopOutcome, ShopRequest
from serve_app.errors import EntriesInvalid, NotStored, UnknownRecord
from serve_app.http.writer_calls import ask_writer
from serve_app.serving.coalescing import Coalescer, CoalescingConfig
from serve_app.serving.events_config import EventsConfig
from serve_app.telemetry.counting import Telemetry

AskShop = Callable[[tuple[ShopRequest, str]], Awaitable[ShopOutcome]]
"""Carries out a request on a shop. Raises StageFailed."""

MAX_WAITING = 64


class ShopIntake:
    """Carries out requests, or says why not."""

    def __init__(
        self,
        config: EventsConfig,
        ask: AskShop,
        shop_id: Callable[[], str],
        telemetry: Telemetry,
    ) -> None:
        """``shop_id`` gives that of the served bundle."""
        self._config = config
        self._call = ask
        self._shop_id = shop_id
        self._telemetry = telemetry
        # Each request is a transaction of its own: batches have one.
        limits = CoalescingConfig(
            max_in_flight=config.max_in_flight,
            max_batch=1,
            max_waiting=MAX_WAITING,
            max_wait_s=config.max_wait_s,
            retry_after_s=config.retry_after_s,
        )
        self._requests = Coalescer(self._ask, limits)

    async def ask(self, request: ShopRequest) -> Changed | Found:
        """
        Raises:
            EntriesInvalid: an item is not valid; nothing of the request is stored.
            UnknownRecord: there is no such item or user.
            NotStored: there was no answer in time. The same request again is safe.
            Overloaded: too many requests wait.
        """
        outcome = await self._requests.ask(request)
        if isinstance(outcome, Refused):
            raise EntriesInvalid(outcome.faults)
        if isinstance(outcome, NotThere):
            raise UnknownRecord()
        if isinstance(outcome, NotWritten):
            raise NotStored(outcome.reason, self._config.retry_after_s)
        return outcome

    async def _ask(self, requests: Sequence[ShopRequest]) -> Sequence[ShopOutcome]:
        [request] = requests
        call = self._call((request, self._shop_id()))
        return [await ask_writer(call, self._config.deadline_s, self._telemetry)]
