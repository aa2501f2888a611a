"""Serves the seed service over HTTP: `uvicorn benchmarks.seed_service.app:app --workers 2`."""

import os
import time
from pathlib import Path
from typing import Any

import redis
from fastapi import FastAPI
from psycopg_pool import ConnectionPool
from pydantic import BaseModel, Field

from benchmarks.home import Home, workplace_in
from benchmarks.seed_service.app_name import ROUTE
from benchmarks.seed_service.features import FeatureStore
from benchmarks.seed_service.service import RecommendationService
from serve_app.bundles.models.loading import load_booster
from serve_app.recommending.candidates.finding import CandidateFinder


class Request(BaseModel):
    user_id: str
    n: int = Field(10, ge=1, le=100)


class Response(BaseModel):
    user_id: str
    recommendations: list[dict[str, Any]]
    model_used: str
    cached: bool


def open_service() -> RecommendationService:
    workplace = workplace_in(Path(os.environ["RECSERVE_HOME"]))
    urls, _ = workplace.location.urls()
    home = Home(workplace.location.home, Path(), workplace, urls)
    bundle, cache = home.bundle(), redis.Redis.from_url(urls.redis)
    pool = ConnectionPool(urls.database, min_size=2, max_size=8, open=True)
    manifest = bundle.manifest
    return RecommendationService(
        FeatureStore(pool, cache),
        cache,
        load_booster(bundle.model_path("main"), manifest.models["main"]),
        bundle,
        CandidateFinder.of(bundle.fitted, workplace.config.candidates),
        lambda: min(time.time(), manifest.until_at + manifest.horizon_s),
    )


app = FastAPI()
service = open_service()


def answer(request: Request) -> Response:
    chosen, cached = service.recommend(request.user_id, request.n)
    return Response(
        user_id=request.user_id, recommendations=chosen, model_used="main", cached=cached
    )


async def answer_on_loop(request: Request) -> Response:
    return answer(request)


app.add_api_route(
    "/recommendations",
    answer_on_loop if os.environ.get(ROUTE) == "async" else answer,
    methods=["POST"],
    response_model=Response,
)


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "healthy"}
