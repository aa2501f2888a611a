"""Connects the HTTP API with the service: assigns variants, reports health and readiness."""

import logging
import time
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from serve_app.arrays.columns import MISSING, kind_of
from serve_app.bundles.roots import BundleLocation
from serve_app.domain.assignment import assign
from serve_app.domain.catalogue import STANDARD_COLUMNS, Catalogue
from serve_app.domain.filters.parsing import parse_filter
from serve_app.domain.posts import Cells, EntryFault, Receipt
from serve_app.domain.shop_requests import Changed, Found, ShopRequest
from serve_app.errors import InvalidRequest, UnknownItem
from serve_app.http.api import build_api
from serve_app.http.bodies import RecommendationsRequest
from serve_app.http.event_intake import EventIntake
from serve_app.http.shop_intake import ShopIntake
from serve_app.recommending.similar import SimilarItems, similar_items
from serve_app.serving.answering import NO_BUNDLE, ItemsStage, RecommendationService
from serve_app.serving.config import AppConfig
from serve_app.serving.current_bundle import BundleFollower
from serve_app.serving.experiment_in_use import ExperimentInUse
from serve_app.serving.pipeline import Stages
from serve_app.serving.questions import Answer, Question
from serve_app.serving.warm_up import WarmUp
from serve_app.serving.watching.catalogue_watch import CatalogueWatch
from serve_app.serving.watching.fit_watch import FitWatch
from serve_app.serving.watching.store_watch import StoreWatch
from serve_app.stores.cache import Cache
from serve_app.stores.catalogue_follower import CatalogueFollower
from serve_app.telemetry.counting import RayExporter, Telemetry
from serve_app.telemetry.minutes import MinuteReporter

_logger = logging.getLogger("ray.serve.recserve.ingress")


class Ingress:
    """The service behind the HTTP API. One instance lives in each replica."""

    def __init__(
        self,
        config: AppConfig,
        bundles: BundleLocation,
        stages: Stages,
        items: ItemsStage,
        cache: Cache,
        exporter: RayExporter,
        catalogue: CatalogueFollower,
    ) -> None:
        self._config = config
        # Serve calls ``reconfigure`` before the first request.
        self._in_use = ExperimentInUse(bundles, config.variants)
        self._follower = BundleFollower(
            bundles, config.candidates, config.ranking, catalogue, stages.holders
        )
        self._warm_up = WarmUp(self._follower, stages, config.variants)
        self.telemetry = Telemetry(exporter, now_s=time.time())
        self._stores = StoreWatch(stages.silent_stores, self.telemetry)
        self._fits = FitWatch(bundles.root, self.telemetry)
        self._catalogue = CatalogueWatch(self._follower, self.telemetry)
        self._reporting = MinuteReporter(self.telemetry, cache, self._shop_id)
        self._service = RecommendationService(config, stages, items, cache, self.telemetry)
        self._events = EventIntake(
            config.events, stages.write_events, self._shop_id, self.telemetry
        )
        self._shop = ShopIntake(config.events, stages.ask_shop, self._shop_id, self.telemetry)

    def __serve_build_asgi_app__(self) -> object:
        # Serve calls this hook in the event loop of the replica, which the tasks below need.
        self._follower.follow()
        self._in_use.follow()
        self._warm_up.start()
        self._stores.start()
        self._fits.start()
        self._catalogue.start()
        self._reporting.start()
        return build_api(self, self._config.http)

    async def check_health(self) -> None:
        """Keeps a new replica out of traffic until it has a bundle; later it returns at once.

        Raises:
            NoBundleOpens, StageFailed: no bundle can be opened. Serve then starts another replica.
        """
        await self._follower.join()

    def _shop_id(self) -> str:
        current = self._follower.current
        return "" if current is None else current.shop_id

    def reconfigure(self, user_config: Mapping[str, Any] | None, rank: object = None) -> None:
        """Starts another experiment. If it is invalid, the accepted one stays.

        Args:
            user_config: ``None`` when the configuration has none.
            rank: not used. Only a method with this argument is called when a ``user_config`` was
                removed.
        """
        self._in_use.take(user_config)

    def question(self, body: RecommendationsRequest) -> Question:
        """Checks a request and assigns its variant.

        Raises:
            InvalidRequest: the filter is not valid, or the model is not served.
        """
        if body.model_name is not None and body.model_name not in self._config.variants:
            allowed = ", ".join(self._config.variants)
            raise InvalidRequest(("body", "model_name"), f"must be one of: {allowed}")
        variant = body.model_name or assign(self._in_use.experiment, body.user_id)
        wanted = parse_filter(body.filters or {}, self._column_types())
        return Question(body.user_id, body.n, wanted, variant, body.include_metadata, body.at)

    async def recommend(self, question: Question) -> Answer:
        """Answers a question; raises Overloaded if too many requests wait."""
        current = self._follower.current
        return NO_BUNDLE if current is None else await self._service.recommend(question, current)

    async def ask_shop(self, request: ShopRequest) -> Changed | Found:
        """Carries out a request about items or users; raises as ``ShopIntake.ask``."""
        return await self._shop.ask(request)

    async def post_events(self, events: Sequence[Cells]) -> Receipt:
        """Stores events; raises as ``EventIntake.post``."""
        return await self._events.post(events)

    def faults_of_events(self, events: Sequence[Cells]) -> Sequence[EntryFault]:
        """Everything that is wrong with some events."""
        return self._events.faults(events)

    def hidden_s(self) -> float:
        """Longest time for which caches may hide an event, if Redis did not answer."""
        return self._config.hidden_s

    def similar(self, item_id: str, n: int) -> tuple[SimilarItems, Catalogue]:
        """Lists the items that are most similar to an item, with the catalogue of their rows.

        Raises:
            UnknownItem: the item is not in the catalogue, or no bundle is published.
        """
        current = self._follower.current
        row = MISSING if current is None else current.row_of(item_id)
        if current is None or row == MISSING:
            raise UnknownItem(item_id)
        catalogue, tables = current.live.fitted.catalogue, current.live.fitted.tables
        # The item itself is excluded: it is the most similar of all.
        allowed = current.allowed.for_request(None, np.array([row], np.int32))
        return similar_items(row, n, catalogue, tables, allowed), catalogue

    def user_hash(self, user_id: str) -> str:
        """Keyed hash that replaces the user id in logs."""
        # The salt of the experiment is the key: without it, known ids could be hashed and looked
        # up in the log. blake2b takes a key of at most 64 bytes.
        key = self._in_use.experiment.salt.encode()[:64]
        return blake2b(user_id.encode(), key=key, digest_size=6).hexdigest()

    def health(self) -> dict[str, Any]:
        """Reports the served bundle and variants, without asking a store."""
        current = self._follower.current
        version = current.version if current else None
        weights = self._in_use.experiment.weights
        return {
            "status": "ok" if current else "no bundle",
            "faults": self.faults(),
            "models": dict.fromkeys(self._config.variants, version),
            "weights": {variant: weights.get(variant, 0.0) for variant in self._config.variants},
            "bundle": version,
            "silent_stores": self._stores.silent(),
            "catalogue": self._catalogue.state(),
            "last_fit": self._fits.last(),
        }

    def faults(self) -> list[str]:
        """Says why another bundle or experiment is in use than was asked for. Usually empty."""
        return [*self._follower.faults, *self._catalogue.faults(), *self._in_use.faults()]

    def missing(self) -> list[str]:
        """Names the parts that have not answered yet. The replica is ready if there are none."""
        return self._warm_up.missing()

    def _column_types(self) -> Mapping[str, type]:
        current = self._follower.current
        if current is None:
            return STANDARD_COLUMNS
        columns = current.live.fitted.catalogue.columns
        return {name: kind_of(column) for name, column in columns.items()}
