"""Defines a graph with recserve's deployments and hops, whose stages return at once.

No ``from __future__ import annotations`` here: Serve would hand ``build_app`` a plain dict.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from serve_app.http.bodies import RecommendationsRequest
from serve_app.serving.calls import make_remote_call
from serve_app.serving.coalescing import Coalescer
from serve_app.serving.config import AppConfig


class EmptyStage:
    """Replaces any stage."""

    async def call(self, batch: Sequence[int]) -> Sequence[int]:
        return batch


class EmptyIngress:
    """Makes the hops of one batch, in the order of ``pipeline.recommend``."""

    def __init__(self, config: AppConfig, handles: dict[str, DeploymentHandle[Any]]) -> None:
        self._calls = {
            name: make_remote_call(name, handle.call) for name, handle in handles.items()
        }
        self._scorers = [name for name in handles if name.startswith("Scorer-")]
        self._graph = Coalescer(self._travel, config.coalescing)

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Accept the experiment of ``serve_config.yaml`` and ignore it."""

    async def _travel(self, batch: Sequence[int]) -> Sequence[int]:
        call = self._calls
        await asyncio.gather(call["FeatureFetcher"](batch), call["CandidateGenerator"](batch))
        await asyncio.gather(*(call[scorer](batch) for scorer in self._scorers))
        ranked: Sequence[int] = await call["Ranker"](batch)
        return ranked

    def __serve_build_asgi_app__(self) -> FastAPI:
        api = FastAPI()

        @api.post("/recommendations")
        async def recommendations(body: RecommendationsRequest) -> dict[str, int]:
            return {"n": await self._graph.ask(body.n)}

        @api.post("/empty")
        async def empty(body: RecommendationsRequest) -> dict[str, int]:
            return {"n": body.n}

        @api.get("/ready")
        async def ready() -> dict[str, int]:
            return {"n": await self._graph.ask(0)}

        return api


def build_app(config: AppConfig) -> serve.Application:
    """Build the empty graph from the ``args`` of ``serve_config.yaml``."""
    scorers = [f"Scorer-{variant}" for variant in config.variants]
    names = ["FeatureFetcher", "CandidateGenerator", *scorers, "Ranker"]
    stages = {name: serve.deployment(name=name)(EmptyStage).bind() for name in names}
    ingress = serve.deployment(name="Ingress")(serve.ingress()(EmptyIngress))
    return ingress.bind(config, stages)
