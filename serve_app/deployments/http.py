"""The HTTP contract. The only module that knows FastAPI.

No ``from __future__ import annotations`` here: Serve mounts the routes again, and a body whose
annotation is a string would become a query parameter.
"""

import logging
import time
from collections.abc import Mapping
from typing import Annotated, Any, Protocol
from uuid import uuid4

import orjson
from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError

from serve_app.config import MAX_N, HttpConfig
from serve_app.deployments.body_limit import BodyLimit
from serve_app.deployments.composing import similar_list
from serve_app.deployments.http_models import (
    MAX_ID_CHARS,
    Health,
    Problem,
    Readiness,
    Recommendations,
    RecommendationsRequest,
    Similar,
)
from serve_app.deployments.questions import Answer, Question
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.similar import SimilarItems
from serve_app.errors import CallerError, InvalidRequest, Overloaded
from serve_app.telemetry import Telemetry

_access_log = logging.getLogger("ray.serve.recserve.access")
_logger = logging.getLogger("ray.serve.recserve.http")

NO_MODEL = "none"
"""Counted as the variant of requests that reached none."""

NO_OBJECT = "must be one JSON object in UTF-8, sent with content-type application/json"


class Frontend(Protocol):
    """What stands behind the routes (see ``deployments.ingress.Ingress``)."""

    telemetry: Telemetry

    def question(
        self,
        user_id: str,
        n: int,
        filters: Mapping[str, Any],
        model_name: str | None,
        include_metadata: bool,
    ) -> Question: ...

    async def recommend(self, question: Question) -> Answer: ...

    def similar(self, item_id: str, n: int) -> tuple[SimilarItems, Catalogue]: ...

    def user_hash(self, user_id: str) -> str: ...

    def health(self) -> dict[str, Any]: ...

    def missing(self) -> list[str]: ...


def build_api(frontend: Frontend, config: HttpConfig) -> FastAPI:
    """All routes, their documentation, and errors in FastAPI's shape."""
    api = FastAPI(
        title="recserve",
        summary="Recommendations that answer always.",
        responses={422: {"model": Problem}},
    )
    api.add_middleware(BodyLimit, limit_bytes=config.max_body_bytes)
    _add_errors(api, frontend.telemetry)
    _add_recommendations(api, frontend)
    _add_similar(api, frontend)
    _add_probes(api, frontend)
    return api


def _add_recommendations(api: FastAPI, frontend: Frontend) -> None:
    @api.post(
        "/recommendations",
        response_model=Recommendations,
        responses={413: {"model": Problem}, 429: {"model": Problem}},
        summary="What to show to a user",
    )
    async def recommendations(body: RecommendationsRequest, request: Request) -> Response:
        started_at = time.perf_counter()
        request_id = _request_id(request)
        question = frontend.question(
            body.user_id, body.n, body.filters or {}, body.model_name, body.include_metadata
        )
        answer = await frontend.recommend(question)
        content = {
            "user_id": body.user_id,
            "request_id": request_id,
            "recommendations": orjson.Fragment(answer.recommendations),
            "model_used": question.variant,
            "model_version": answer.version,
            "cached": answer.cached,
            "degraded": answer.degraded,
        }
        duration_s = time.perf_counter() - started_at
        outcome = "degraded" if answer.degraded else "ok"
        frontend.telemetry.request(question.variant, outcome, duration_s)
        _log(request_id, frontend.user_hash(body.user_id), question, answer, duration_s)
        return _json(content)


def _add_similar(api: FastAPI, frontend: Frontend) -> None:
    @api.get(
        "/items/{item_id}/similar",
        response_model=Similar,
        responses={404: {"model": Problem}},
        summary="Items like this one",
    )
    async def similar(
        item_id: Annotated[str, Path(max_length=MAX_ID_CHARS, examples=["i000001"])],
        n: Annotated[int, Query(ge=1, le=MAX_N, examples=[10])] = 10,
    ) -> Response:
        found, catalogue = frontend.similar(item_id, n)
        content = {
            "item_id": item_id,
            "similar": similar_list(found, catalogue),
            "model_version": catalogue.version,
        }
        return _json(content)


def _add_probes(api: FastAPI, frontend: Frontend) -> None:
    @api.get("/health", response_model=Health, summary="What is served; asks no store")
    async def health() -> Response:
        return _json(frontend.health())

    @api.get(
        "/ready",
        response_model=Readiness,
        responses={503: {"model": Readiness}},
        summary="Whether it can answer, and what is missing",
    )
    async def ready() -> Response:
        missing = frontend.missing()
        return _json({"ready": not missing, "missing": missing}, 503 if missing else 200)


def _add_errors(api: FastAPI, telemetry: Telemetry) -> None:
    @api.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        telemetry.request(NO_MODEL, "invalid", 0.0)
        # Without the input: it may be long, secret, or nothing that JSON can say.
        problems = [
            {"type": each["type"], "loc": each["loc"], "msg": _message(each)}
            for each in error.errors()
        ]
        return _json({"detail": problems}, 422)

    @api.exception_handler(400)
    async def unreadable(_: Request, __: Exception) -> Response:
        # FastAPI's own answer to a body that is no UTF-8, or nested deeper than can be read.
        telemetry.request(NO_MODEL, "invalid", 0.0)
        problem = {"type": "value_error", "loc": ("body",), "msg": NO_OBJECT}
        return _json({"detail": [problem]}, 422)

    @api.exception_handler(CallerError)
    async def anticipated(_: Request, error: CallerError) -> Response:
        telemetry.request(NO_MODEL, "shed" if isinstance(error, Overloaded) else "invalid", 0.0)
        headers = {}
        detail: object = str(error)
        if isinstance(error, Overloaded):
            headers["retry-after"] = str(error.retry_after_s)
        if isinstance(error, InvalidRequest):
            detail = [{"type": "value_error", "loc": error.location, "msg": error.message}]
        return _json({"detail": detail}, error.http_status, headers)

    @api.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        telemetry.request(NO_MODEL, "error", 0.0)
        request_id = _request_id(request)
        _logger.error("request %s failed", request_id, exc_info=error)
        return _json({"detail": "an internal error, logged", "request_id": request_id}, 500)


def _message(problem: Mapping[str, Any]) -> str:
    """What is allowed, where pydantic only says what is not."""
    if problem["type"] == "extra_forbidden":
        return f"unknown field; known are {', '.join(RecommendationsRequest.model_fields)}"
    return NO_OBJECT if problem["loc"] == ("body",) else str(problem["msg"])


def _json(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, "application/json")


def _request_id(request: Request) -> str:
    """The caller's own, when it is fit for a log line; a new one otherwise."""
    given = request.headers.get("x-request-id", "")
    fit = 0 < len(given) <= MAX_ID_CHARS and given.isascii() and given.isprintable()
    return given if fit else uuid4().hex


def _log(request_id: str, user: str, question: Question, answer: Answer, duration_s: float) -> None:
    line = {
        "request_id": request_id,
        "user": user,
        "n": question.n,
        "n_items": answer.n_items,
        "filtered": question.wanted is not None,
        "variant": question.variant,
        "version": answer.version,
        "cached": answer.cached,
        "degraded": answer.degraded,
        "duration_ms": round(duration_s * 1e3, 2),
    }
    _access_log.info(orjson.dumps(line).decode())
