"""Adds the routes that describe items, and read or delete what is stored.

No ``from __future__ import annotations`` here, as in ``http.api``.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

from fastapi import FastAPI, Path, Request, Response

from serve_app.arrays.columns import MAX_ID_CHARS
from serve_app.database.records import shortest_float32
from serve_app.domain.interactions import INTERACTION_TYPES
from serve_app.domain.shop_requests import (
    Changed,
    ForgetUser,
    Found,
    PatchItem,
    PutItems,
    ReadItem,
    ReadUser,
    ShopRequest,
    WithdrawItem,
)
from serve_app.errors import EntriesInvalid, InvalidRequest
from serve_app.http.bodies import Problem
from serve_app.http.entry_lists import body_schema, read_body
from serve_app.http.http_errors import json_response
from serve_app.http.item_bodies import (
    ITEMS,
    PATCHES,
    ItemsStored,
    ItemWithdrawn,
    StoredItem,
    StoredUser,
    UserDeleted,
)

ITEMS_PATH = "/items"
LIVE_S = 2.0
"""Time within which every replica follows a change of items."""

# PostgreSQL cannot even be asked for a text with a NUL.
Id = Annotated[str, Path(min_length=1, max_length=MAX_ID_CHARS, pattern="^[^\\x00]*$")]
_UNAVAILABLE: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem} for status in (429, 503)
}
_ABSENT: dict[int | str, dict[str, Any]] = {404: {"model": Problem}, **_UNAVAILABLE}


class ShopFrontend(Protocol):
    """The part of the service that keeps items and users (see ``http.ingress.Ingress``)."""

    async def ask_shop(self, request: ShopRequest) -> Changed | Found: ...

    def hidden_s(self) -> float: ...


def add_shop(api: FastAPI, frontend: ShopFrontend) -> None:
    """Adds the routes. ``/items/{item_id}/similar`` must be there already: ids may have slashes."""
    _add_items(api, frontend)
    _add_users(api, frontend)


def _add_items(api: FastAPI, frontend: ShopFrontend) -> None:
    @api.put(
        ITEMS_PATH,
        response_model=ItemsStored,
        responses={413: {"model": Problem}, **_UNAVAILABLE},
        openapi_extra=body_schema(ITEMS),
        summary="Add or change items",
        description="Takes one item, or a list of up to 1,000. If an entry is bad, nothing of the"
        " list is stored. An item that was withdrawn is listed again.",
    )
    async def put(request: Request) -> Response:
        body = await read_body(request, ITEMS)
        if body.faults:
            raise EntriesInvalid(tuple(body.faults), body.is_list)
        items = [item.entry(item.item_id) for item in body.good.values()]
        return await _change(frontend, PutItems(items), is_list=body.is_list)

    @api.patch(
        "/items/{item_id:path}",
        response_model=ItemsStored,
        responses=_ABSENT,
        openapi_extra=body_schema(PATCHES, lists=False),
        summary="Change an item",
    )
    async def patch(item_id: Id, request: Request) -> Response:
        body = await read_body(request, PATCHES)
        if body.is_list:
            raise InvalidRequest(("body",), "must be one object with the fields to change")
        if body.faults:
            raise EntriesInvalid(tuple(body.faults), is_list=False)
        return await _change(frontend, PatchItem(body.good[0].entry(item_id)))

    @api.delete(
        "/items/{item_id:path}",
        response_model=ItemWithdrawn,
        responses=_ABSENT,
        summary="Withdraw an item",
        description="Takes it out of all lists. What users did with it stays.",
    )
    async def withdraw(item_id: Id) -> Response:
        return await _change(frontend, WithdrawItem(item_id))

    @api.get(
        "/items/{item_id:path}",
        response_model=StoredItem,
        responses=_ABSENT,
        summary="Show what is stored of an item",
    )
    async def show(item_id: Id) -> Response:
        return json_response(_readable(await _record(frontend, ReadItem(item_id))))


def _add_users(api: FastAPI, frontend: ShopFrontend) -> None:
    @api.get(
        "/users/{user_id:path}",
        response_model=StoredUser,
        responses=_ABSENT,
        summary="Show what is stored of a user",
    )
    async def show(user_id: Id) -> Response:
        record = await _record(frontend, ReadUser(user_id))
        events = [_event(event) for event in record["events"]]
        return json_response({**_readable(record), "events": events})

    @api.delete(
        "/users/{user_id:path}",
        response_model=UserDeleted,
        responses=_UNAVAILABLE,
        summary="Delete a user",
        description="Deletes the user and their events from the tables and caches. Bundles that"
        " were fitted before do not answer for them, and the next fit does not know them.",
    )
    async def delete(user_id: Id) -> Response:
        return await _change(frontend, ForgetUser(user_id))


async def _change(
    frontend: ShopFrontend, request: ShopRequest, *, is_list: bool = False
) -> Response:
    try:
        changed = await frontend.ask_shop(request)
    except EntriesInvalid as error:
        raise EntriesInvalid(error.entries, is_list) from error
    assert isinstance(changed, Changed), "a change is answered by a change"
    within_s = LIVE_S if changed.is_visible else max(LIVE_S, frontend.hidden_s())
    return json_response({**changed.counts, "visible": f"within {within_s:.0f} s"})


async def _record(frontend: ShopFrontend, request: ShopRequest) -> Mapping[str, Any]:
    found = await frontend.ask_shop(request)
    assert isinstance(found, Found), "a question is answered by what is stored"
    return found.record


def _readable(record: Mapping[str, Any]) -> dict[str, Any]:
    """A stored row as it is shown; times in UTC."""
    shown = {
        name: value.astimezone(UTC) if isinstance(value, datetime) else value
        for name, value in record.items()
    }
    # Columns of PostgreSQL's type ``real``.
    floats = {
        name: shortest_float32(record[name]) for name in {"avg_rating", "value"} & shown.keys()
    }
    return {**shown, **floats}


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    code = event["type"]
    name = INTERACTION_TYPES[code] if 0 <= code < len(INTERACTION_TYPES) else str(code)
    shown = _readable(event)
    at = shown.pop("at")
    return {**shown, "type": name, "timestamp": at}
