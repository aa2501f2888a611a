"""Builds the Serve application: the ingress, and the stages that it calls.

    client ◄─HTTP─► Ingress ◄──► FeatureFetcher        1  features of the users
                            ◄──► CandidateGenerator    1  items worth a score
                            ◄──► Scorer-<variant>      2  scores; one stage per variant
                            ◄──► Ranker                3  ordered lists with reasons
                            ◄──► FeatureFetcher        4  metadata of the listed items
                            ◄──► ShopWriter               events, which are no part of an answer

Each arrow is a call with a batch of requests, and its answer. Calls of equal number run at the same
time. Stages never call each other. Inside the ingress, ``serving.answering`` looks answers up,
makes batches, and makes call 4 (metadata); ``serving.pipeline`` makes the calls 1 to 3.
FeatureFetcher reads the stores only, CandidateGenerator the stores and the bundle, all others the
bundle only. Both readers ask Redis first, PostgreSQL second. The ingress keeps finished answers and
its measurements in Redis. ShopWriter writes PostgreSQL, and ends what Redis keeps of the users.
its measurements in Redis. The ingress and CandidateGenerator follow changes of items in PostgreSQL.

``args.placement`` makes each stage a Serve deployment of its own (``Deployed``) or puts it into the
process of the ingress (``InProcess``).

No ``from __future__ import annotations`` here: Serve would hand ``build_app`` a plain dict.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from serve_app.bundles.roots import BundleLocation
from serve_app.http.ingress import Ingress
from serve_app.serving.answering import ItemsStage
from serve_app.serving.calls import make_call, make_holds
from serve_app.serving.config import AppConfig, bundle_location, deployment_names, store_location
from serve_app.serving.pipeline import CANDIDATES, FEATURES, RANKER, WRITER, Stages, scorer_of
from serve_app.serving.stages.candidate_generator import CandidateGenerator
from serve_app.serving.stages.feature_fetcher import FeatureFetcher
from serve_app.serving.stages.ranker import Ranker
from serve_app.serving.stages.scorer import Scorer
from serve_app.serving.stages.shop_writer import ShopWriter
from serve_app.stores.connections import Stores
from serve_app.telemetry.counting import RayExporter


def build_app(config: AppConfig) -> serve.Application:
    """Binds all deployments. ``serve_config.yaml`` names this function as its ``import_path``."""
    location = store_location(os.environ, Path.cwd())
    bundles = bundle_location(config, location.home)
    stores = Stores(location, config.stores)
    deployed = deployment_names(config.variants, config.placement)

    def place(name: str, stage: type, *args: object) -> Deployed | InProcess:
        if name in deployed:
            return Deployed(deploy(name, stage, *args))
        return InProcess(stage, args)

    graph = Graph(
        features=place("FeatureFetcher", FeatureFetcher, stores, config.ttls),
        candidates=place(
            "CandidateGenerator",
            CandidateGenerator,
            stores,
            bundles,
            config.ttls,
            config.candidates,
        ),
        scorers={name: place(f"Scorer-{name}", Scorer, name, bundles) for name in config.variants},
        ranker=place("Ranker", Ranker, bundles, config.ranking),
        writer=place("ShopWriter", ShopWriter, stores, config.events.rules),
    )
    http = serve.ingress()(GraphIngress)
    return deploy("Ingress", http, config, stores, bundles, graph)


def deploy(name: str, stage: type, *args: object) -> serve.Application:
    """Binds a stage class and its arguments as a deployment."""
    return serve.deployment(name=name)(stage).bind(*args)


@dataclass(frozen=True, slots=True)
class Deployed:
    """A stage that is a deployment of its own."""

    # ``build_app`` puts the bound deployment here. Serve finds it in the arguments of the ingress,
    # and replaces it by a handle to the replicas before the ingress starts.
    handle: DeploymentHandle[Any] | serve.Application

    def open(self) -> Any:
        """The handle, which has a method for each method of the stage."""
        return self.handle


@dataclass(frozen=True, slots=True)
class InProcess:
    """A stage inside the process of the ingress."""

    # The class and its arguments travel to the replica instead of an instance: a stage holds
    # threads and connections, which cannot be pickled.
    factory: type
    args: tuple[object, ...]

    def open(self) -> Any:
        """Creates the stage in this process."""
        return self.factory(*self.args)


@dataclass(frozen=True, slots=True)
class Graph:
    """Where each stage runs; scorers by variant."""

    features: Deployed | InProcess
    candidates: Deployed | InProcess
    scorers: Mapping[str, Deployed | InProcess]
    ranker: Deployed | InProcess
    writer: Deployed | InProcess

    def open(self) -> tuple[Stages, ItemsStage]:
        """Opens the stages: calls 1 to 3 and call 4, as coroutine functions."""
        # Opened once for both of its methods: an in-process stage would connect twice otherwise.
        fetcher, finder = self.features.open(), self.candidates.open()
        ranker, writer = self.ranker.open(), self.writer.open()
        scorers = {scorer_of(name): scorer.open() for name, scorer in self.scorers.items()}
        with_bundles = {CANDIDATES: finder, **scorers, RANKER: ranker}
        stages = Stages(
            users=make_call(FEATURES, fetcher.users),
            candidates=make_call(CANDIDATES, finder.find),
            scorers={
                variant: make_call(scorer_of(variant), scorers[scorer_of(variant)].score)
                for variant in self.scorers
            },
            rank=make_call(RANKER, ranker.rank),
            holders={name: make_holds(name, opened) for name, opened in with_bundles.items()},
            silent_stores={
                FEATURES: make_call(FEATURES, fetcher.silent_stores),
                CANDIDATES: make_call(CANDIDATES, finder.silent_stores),
                WRITER: make_call(WRITER, writer.silent_stores),
            },
            write_events=make_call(WRITER, writer.write_events),
            ask_shop=make_call(WRITER, writer.ask_shop),
        )
        return stages, make_call("metadata", fetcher.items)


class GraphIngress(Ingress):
    """The ingress as a replica starts it. It opens the graph in the process of the replica."""

    def __init__(
        self, config: AppConfig, stores: Stores, bundles: BundleLocation, graph: Graph
    ) -> None:
        stages, items = graph.open()
        exporter, catalogue = RayExporter(), stores.catalogue
        super().__init__(config, bundles, stages, items, stores.cache, exporter, catalogue)
