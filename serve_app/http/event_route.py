"""Adds the route that stores what users did.

No ``from __future__ import annotations`` here, as in ``http.api``.
"""

import time
from collections.abc import Sequence
from typing import Protocol

import orjson
from fastapi import FastAPI, Request, Response

from serve_app.domain.posts import Cells, EntryFault, Receipt
from serve_app.errors import EntriesInvalid
from serve_app.http.bodies import Problem
from serve_app.http.entry_lists import Entries, body_schema, read_body
from serve_app.http.event_bodies import EVENTS, Event, EventsStored, cells_of
from serve_app.http.http_errors import access_log, json_response, request_id_of

EVENTS_PATH = "/events"


class EventFrontend(Protocol):
    """The part of the service that takes events (see ``http.ingress.Ingress``)."""

    async def post_events(self, events: Sequence[Cells]) -> Receipt: ...

    def faults_of_events(self, events: Sequence[Cells]) -> Sequence[EntryFault]: ...

    def hidden_s(self) -> float: ...


def add_events(api: FastAPI, frontend: EventFrontend) -> None:
    """Adds ``POST /events``. The body is read here: FastAPI would read it twice as slowly."""

    @api.post(
        EVENTS_PATH,
        status_code=202,
        response_model=EventsStored,
        responses={status: {"model": Problem} for status in (413, 429, 503)},
        openapi_extra=body_schema(EVENTS),
        summary="Store what users did",
        description="Takes one event, or a list of up to 1,000. Answers after the events are"
        " committed. If an entry is bad, nothing of the list is stored. The same body again is"
        " always safe.",
    )
    async def events(request: Request) -> Response:
        started_at = time.perf_counter()
        receipt = await _store(frontend, await read_body(request, EVENTS))
        _log(request, receipt, time.perf_counter() - started_at)
        return json_response(
            {
                "accepted": receipt.n_accepted,
                "repeated": receipt.n_repeated,
                "differing": receipt.differing,
                "visible": "now" if receipt.is_visible else f"within {frontend.hidden_s():.0f} s",
            },
            202,
        )


async def _store(frontend: EventFrontend, posted: Entries[Event]) -> Receipt:
    entries = [cells_of(event) for event in posted.good.values()]
    if posted.faults:
        # The rules of the others are checked here: the answer names every bad entry.
        positions = list(posted.good)
        others = [
            fault._replace(entry=positions[fault.entry])
            for fault in frontend.faults_of_events(entries)
        ]
        raise EntriesInvalid(tuple(sorted([*posted.faults, *others])), posted.is_list)
    try:
        return await frontend.post_events(entries)
    except EntriesInvalid as error:
        raise EntriesInvalid(error.entries, posted.is_list) from error


def _log(request: Request, receipt: Receipt, duration_s: float) -> None:
    line = {
        "request_id": request_id_of(request),
        "events_accepted": receipt.n_accepted,
        "events_repeated": receipt.n_repeated,
        "visible": receipt.is_visible,
        "duration_ms": round(duration_s * 1e3, 2),
    }
    access_log.info(orjson.dumps(line).decode())
