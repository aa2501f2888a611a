"""Talks to the running service as a shop does: asks for lists, and reports events."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import urllib3

from serve_app.errors import ServiceUnreachable

TIMEOUT_S = 30.0
FAILED = 400
"""Lowest HTTP status of a failure."""

_MOST_EVENTS = 1_000


class Listed(NamedTuple):
    """A list that was shown.

    Attributes:
        request_id: names the answer in the events that follow from it.
    """

    item_ids: tuple[str, ...]
    request_id: str


@dataclass(frozen=True, slots=True)
class Event:
    """An event as ``POST /events`` takes it."""

    event_id: str
    user_id: str
    item_id: str
    type: str
    timestamp: float
    session_id: str
    request_id: str
    position: int

    def body(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class ShopService:
    """The HTTP API, for up to ``n_threads`` threads.

    Every method raises ``ServiceUnreachable`` if the service does not answer as it should.
    """

    def __init__(self, url: str, n_threads: int = 1) -> None:
        self._url = url.rstrip("/")
        # A third of the time of `requests`, which counts: the service shares the machine.
        self._connections = urllib3.PoolManager(
            maxsize=n_threads, retries=False, timeout=urllib3.Timeout(TIMEOUT_S)
        )

    def recommend(self, user_id: str, n: int, at: float) -> Listed:
        """Asks for a list of ``n`` items as of an epoch second."""
        answer = self._call("POST", "/recommendations", {"user_id": user_id, "n": n, "at": at})
        ids = tuple(one["item_id"] for one in answer["recommendations"])
        return Listed(ids, answer["request_id"])

    def report(self, events: Sequence[Event]) -> None:
        """Reports events; returns when they are stored."""
        for some in _parts(events, _MOST_EVENTS):
            self._call("POST", "/events", [event.body() for event in some])

    def version(self) -> str | None:
        """The bundle that is served."""
        return cast("str | None", self._call("GET", "/health", None)["bundle"])

    def _call(self, method: str, path: str, body: Any) -> Any:
        try:
            response = self._connections.request(method, f"{self._url}{path}", json=body)
            content = response.json()
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise ServiceUnreachable(self._url, f"{method} {path}: {error}") from error
        if response.status >= FAILED:
            raise ServiceUnreachable(
                self._url, f"{method} {path}: status {response.status}: {content}"
            )
        return content


def _parts(events: Sequence[Event], n: int) -> Iterable[Sequence[Event]]:
    return (events[start : start + n] for start in range(0, len(events), n))
