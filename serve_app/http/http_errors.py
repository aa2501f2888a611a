"""Answers failed requests in FastAPI's format, counts them, and logs a line for each.

No ``from __future__ import annotations`` here, as in ``http.api``.
"""

import logging
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.requests import ClientDisconnect

from serve_app.arrays.columns import MAX_ID_CHARS
from serve_app.arrays.units import UNTIL_AT
from serve_app.errors import CallerError, EntriesInvalid, InvalidRequest, NotStored, Overloaded
from serve_app.http.bodies import RecommendationsRequest
from serve_app.serving.config import MAX_N
from serve_app.telemetry.counting import Telemetry

access_log = logging.getLogger("ray.serve.recserve.access")
_logger = logging.getLogger("ray.serve.recserve.http")

NO_OBJECT = "must be one JSON object in UTF-8, sent with content-type application/json"

_ID = f"must be text of 1 to {MAX_ID_CHARS} characters"
ALLOWED = {
    "user_id": _ID,
    "item_id": _ID,
    "n": f"must be a whole number from 1 to {MAX_N}",
    "filters": "must be an object",
    "model_name": "must be text",
    "include_metadata": "must be true or false",
    "at": f"must be a number of epoch seconds from 0 to {UNTIL_AT:.0f}, and not of milliseconds",
}
"""What is allowed, by field, in plainer words than pydantic's."""


def add_errors(api: FastAPI, telemetry: Telemetry) -> None:
    """Adds handlers for every error that a route or FastAPI itself raises."""
    _add_errors_of_posts(api, telemetry)

    def refuse(request: Request, outcome: str, status: int, detail: object) -> Response:
        return refusal(telemetry, request_id_of(request), outcome, status, detail)

    @api.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        # Without the input: it may be long, secret, or impossible to write as JSON.
        problems = [
            {"type": problem["type"], "loc": problem["loc"], "msg": _message(problem)}
            for problem in error.errors()
        ]
        return refuse(request, "invalid", 422, problems)

    @api.exception_handler(InvalidRequest)
    async def invalid(request: Request, error: InvalidRequest) -> Response:
        problem = {"type": "value_error", "loc": error.location, "msg": error.message}
        return refuse(request, "invalid", error.http_status, [problem])

    @api.exception_handler(400)
    async def unreadable(request: Request, _: Exception) -> Response:
        # FastAPI raises 400 for a body that is not UTF-8, or is nested too deeply.
        return await invalid(request, InvalidRequest(("body",), NO_OBJECT))

    @api.exception_handler(Overloaded)
    async def overloaded(request: Request, error: Overloaded) -> Response:
        return shed(telemetry, error, request_id_of(request))

    @api.exception_handler(CallerError)
    async def anticipated(request: Request, error: CallerError) -> Response:
        return refuse(request, "invalid", error.http_status, str(error))

    @api.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        request_id = request_id_of(request)
        _logger.error("request %s failed", request_id, exc_info=error)
        return refuse(request, "error", 500, f"an internal error, logged as {request_id}")


def _add_errors_of_posts(api: FastAPI, telemetry: Telemetry) -> None:
    @api.exception_handler(EntriesInvalid)
    async def invalid_entries(request: Request, error: EntriesInvalid) -> Response:
        problems = [
            {"type": "value_error", "loc": _location(error, index, field), "msg": reason}
            for index, field, reason in error.entries
        ]
        return refusal(telemetry, request_id_of(request), "invalid", error.http_status, problems)

    @api.exception_handler(ClientDisconnect)
    async def gone(request: Request, _: ClientDisconnect) -> Response:
        # Nobody reads the answer, but the log and the counter must not call it a bug.
        reason = "the body ended before it was complete"
        return refusal(telemetry, request_id_of(request), "invalid", 400, reason)

    @api.exception_handler(NotStored)
    async def not_stored(request: Request, error: NotStored) -> Response:
        return _try_again(telemetry, error, "unavailable", request_id_of(request))


def shed(telemetry: Telemetry, error: Overloaded, request_id: str) -> Response:
    """Refuses a request because too many wait. The hot route calls it too: refusing is cheap."""
    return _try_again(telemetry, error, "shed", request_id)


def _try_again(
    telemetry: Telemetry, error: Overloaded | NotStored, outcome: str, request_id: str
) -> Response:
    headers = {"retry-after": str(error.retry_after_s)}
    return refusal(telemetry, request_id, outcome, error.http_status, str(error), headers)


def refusal(
    telemetry: Telemetry,
    request_id: str,
    outcome: str,
    status: int,
    detail: object,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Counts and logs a refused request, and makes its answer."""
    telemetry.refused(outcome)
    line = {"request_id": request_id, "outcome": outcome, "status": status}
    access_log.info(orjson.dumps(line).decode())
    return json_response({"detail": detail}, status, headers)


def json_response(
    content: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Writes the content as JSON. It may hold ``orjson.Fragment``."""
    return Response(orjson.dumps(content), status, headers, "application/json")


def request_id_of(request: Request) -> str:
    """Id of a request: one id for its answer and all its log lines."""
    if not hasattr(request.state, "request_id"):
        request.state.request_id = safe_request_id(request.headers.get("x-request-id", ""))
    return str(request.state.request_id)


def safe_request_id(given: str) -> str:
    """The caller's id if it is fit for a log line, else a new one."""
    fit = 0 < len(given) <= MAX_ID_CHARS and given.isascii() and given.isprintable()
    return given if fit else uuid4().hex


def _location(error: EntriesInvalid, index: int, field: str) -> list[str | int]:
    position: list[str | int] = [index] if error.is_list else []
    return ["body", *position, *([field] if field else [])]


def _message(problem: Mapping[str, Any]) -> str:
    """Words a problem. Names the allowed fields where pydantic does not."""
    if problem["type"] == "extra_forbidden":
        return f"unknown field; known are {', '.join(RecommendationsRequest.model_fields)}"
    if problem["loc"] == ("body",) or problem["type"] == "json_invalid":
        return NO_OBJECT
    return ALLOWED.get(problem["loc"][-1], str(problem["msg"]))
