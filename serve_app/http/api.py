"""Defines the routes of the HTTP API. Only this module and ``http_errors`` use FastAPI.

No ``from __future__ import annotations`` here: Serve mounts the routes again, and a body whose
annotation is a string would become a query parameter.
"""

import time
from functools import partial
from typing import Annotated, Any, Protocol

import orjson
from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from serve_app.arrays.columns import MAX_ID_CHARS
from serve_app.domain.catalogue import Catalogue
from serve_app.errors import Overloaded
from serve_app.http.bodies import (
    Health,
    Problem,
    Readiness,
    Recommendations,
    RecommendationsRequest,
    Similar,
)
from serve_app.http.body_limit import App, BodyLimit
from serve_app.http.event_route import EVENTS_PATH, EventFrontend, add_events
from serve_app.http.hot_route import PATH, Answering, HotRoute, failure_of
from serve_app.http.http_errors import (
    access_log,
    add_errors,
    json_response,
    request_id_of,
    safe_request_id,
    shed,
)
from serve_app.http.shop_routes import ITEMS_PATH, ShopFrontend, add_shop
from serve_app.recommending.similar import SimilarItems
from serve_app.serving.composing import similar_list
from serve_app.serving.config import MAX_N, HttpConfig
from serve_app.serving.questions import Answer, Question
from serve_app.telemetry.counting import Telemetry


class Frontend(EventFrontend, ShopFrontend, Protocol):
    """The service behind the routes (see ``http.ingress.Ingress``)."""

    telemetry: Telemetry

    def question(self, body: RecommendationsRequest) -> Question: ...

    async def recommend(self, question: Question) -> Answer: ...

    def similar(self, item_id: str, n: int) -> tuple[SimilarItems, Catalogue]: ...

    def user_hash(self, user_id: str) -> str: ...

    def health(self) -> dict[str, Any]: ...

    def faults(self) -> list[str]: ...

    def missing(self) -> list[str]: ...


def build_api(frontend: Frontend, config: HttpConfig) -> App:
    """Builds the API: routes, their documentation, and errors in FastAPI's format."""
    api = FastAPI(
        title="recserve",
        summary="Recommends items of a shop to its users, and learns what they do.",
        responses={422: {"model": Problem}},
    )
    add_errors(api, frontend.telemetry)
    answer = partial(_answer, frontend)
    _add_recommendations(api, answer)
    _add_similar(api, frontend)
    add_events(api, frontend)
    add_shop(api, frontend)
    _add_probes(api, frontend)
    return BodyLimit(
        HotRoute(api, answer, partial(_shed, frontend)),
        limit_bytes=config.max_body_bytes,
        on_refused=lambda: frontend.telemetry.refused("invalid"),
        limits_bytes=dict.fromkeys((EVENTS_PATH, ITEMS_PATH), config.max_events_body_bytes),
    )


async def _answer(frontend: Frontend, body: RecommendationsRequest, given_id: str) -> bytes:
    """Turns a checked request body into the bytes of the answer."""
    started_at = time.perf_counter()
    request_id = safe_request_id(given_id)
    question = frontend.question(body)
    answer = await frontend.recommend(question)
    content = {
        "user_id": body.user_id,
        "request_id": request_id,
        "recommendations": orjson.Fragment(answer.recommendations),
        "model_used": answer.order or question.variant,
        "model_version": answer.version,
        "cached": answer.cached,
        "degraded": answer.degraded,
    }
    duration_s = time.perf_counter() - started_at
    outcome = "degraded" if answer.degraded else "ok"
    frontend.telemetry.request(question.variant, outcome, duration_s)
    _log(request_id, frontend.user_hash(body.user_id), question, answer, duration_s)
    return orjson.dumps(content)


def _shed(frontend: Frontend, refused: Overloaded, given_id: str) -> Response:
    return shed(frontend.telemetry, refused, safe_request_id(given_id))


def _add_recommendations(api: FastAPI, answer: Answering) -> None:
    """Adds the documented route. It also answers the requests that ``HotRoute`` passes on."""

    @api.post(
        PATH,
        response_model=Recommendations,
        responses={413: {"model": Problem}, 429: {"model": Problem}},
        summary="Recommend items to a user",
    )
    async def recommendations(body: RecommendationsRequest, request: Request) -> Response:
        if failure := failure_of(request.scope):
            raise failure
        content = await answer(body, request_id_of(request))
        return Response(content, media_type="application/json")


def _add_similar(api: FastAPI, frontend: Frontend) -> None:
    # A path parameter, because item ids may contain slashes.
    @api.get(
        "/items/{item_id:path}/similar",
        response_model=Similar,
        responses={404: {"model": Problem}},
        summary="List items similar to an item",
    )
    async def similar(
        item_id: Annotated[str, Path(max_length=MAX_ID_CHARS, examples=["i000001"])],
        n: Annotated[int, Query(ge=1, le=MAX_N, examples=[10])] = 10,
    ) -> Response:
        items, catalogue = frontend.similar(item_id, n)
        content = {
            "item_id": item_id,
            "similar": similar_list(items, catalogue),
            "model_version": catalogue.version,
        }
        return json_response(content)


def _add_probes(api: FastAPI, frontend: Frontend) -> None:
    @api.get("/", include_in_schema=False)
    async def documentation() -> Response:
        return RedirectResponse("docs")  # Relative: the application may have a route prefix.

    @api.get(
        "/health",
        response_model=Health,
        summary="Report the served bundle and variants",
        description="Answers 200 while the process runs. Asks no store.",
    )
    @api.head("/health", include_in_schema=False)
    async def health() -> Response:
        return json_response(frontend.health())

    @api.get(
        "/ready",
        response_model=Readiness,
        responses={503: {"model": Readiness}},
        summary="Report whether the service is ready",
        description="Answers 503 and lists the parts that have not answered yet.",
    )
    @api.head("/ready", include_in_schema=False)
    async def ready() -> Response:
        missing = frontend.missing()
        content = {"ready": not missing, "missing": missing, "faults": frontend.faults()}
        return json_response(content, 503 if missing else 200)


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
    access_log.info(orjson.dumps(line).decode())
