"""Gives tests the application without Ray and sockets: an ingress over stages in this process."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import httpx2
import numpy as np

from serve_app.bundles.bundle_shelf import BundleShelf
from serve_app.bundles.roots import BundleLocation
from serve_app.database.records import ItemRow
from serve_app.errors import StageFailed, StoreUnavailable
from serve_app.http.ingress import Ingress
from serve_app.recommending.candidates.finding import CandidateFinder
from serve_app.serving.config import AppConfig
from serve_app.serving.pipeline import Stages, scorer_of
from serve_app.serving.stages.candidate_generator import CandidateGenerator
from serve_app.serving.stages.feature_fetcher import default_users
from serve_app.serving.stages.ranker import Ranker
from serve_app.serving.stages.scorer import Scorer
from serve_app.stores.catalogue_follower import CatalogueFollower
from serve_app.stores.connections import StoreLocation, Stores, StoresConfig
from serve_app.stores.reads_apart import ReadResult
from serve_app.stores.serving_readers import CacheTtls
from tests.support.in_memory_stores import InMemoryCache, InMemoryShop
from tests.support.small_bundles import location_of

PATIENT = {"features_s": 60, "candidates_s": 60, "scorer_s": 60, "ranker_s": 60}
"""Deadlines so long that a busy machine does not replace a slow answer."""

PATIENT_CONFIG = AppConfig.model_validate({"deadlines": PATIENT})
"""The default settings with patient deadlines. A replaced stage degrades the answer, and degraded
answers are not cached: with the deadlines of production, tests would depend on the machine's load.
"""

NOWHERE = Stores(
    StoreLocation(Path("/nowhere"), "postgresql://nowhere", "redis://nowhere"), StoresConfig()
)


async def down(_):
    raise StageFailed("any", "connection_refused")


async def bug(_):
    raise ZeroDivisionError("a secret of the code")


async def shown(batch):
    """The records of its items that the shop has."""
    item = ItemRow("A title", "things", 9.5, ("blue",), True, 4.5, 12, {"brand": "Ash"})
    return ReadResult(dict.fromkeys(batch.item_ids, item))


def stages_over(location: BundleLocation, config: AppConfig) -> Stages:
    """Every stage; users are unknown to the store, and the archive knows what they did."""
    shelf = BundleShelf(
        location, "candidates", lambda bundle: CandidateFinder.of(bundle.fitted, config.candidates)
    )

    async def users(batch):
        return replace(default_users(batch), defaulted=np.zeros(len(batch), bool))

    async def candidates(batch):
        finder = await shelf.at(batch.bundle)
        return finder.find(batch, finder.fitted.archive.read(batch.user_ids, stale=False))

    scorers = {variant: Scorer(variant, location) for variant in config.variants}
    ranker = Ranker(location, config.ranking)
    return Stages(
        users,
        candidates,
        {variant: scorer.score for variant, scorer in scorers.items()},
        ranker.rank,
        holders={"candidates": shelf.holds, "ranker": ranker.holds}
        | {scorer_of(variant): scorer.holds for variant, scorer in scorers.items()},
    )


class Counts:
    """An exporter that keeps what it is given."""

    def __init__(self):
        self.counters, self.observed = {}, []

    def count(self, name, tags, n):
        self.counters[name, tags] = self.counters.get((name, tags), 0) + n

    def observe(self, name, tags, value):
        self.observed.append((name, tags, value))


class SilentStages:
    """Ignores what the pipeline tells about its stages."""

    def stage(self, name: str, duration_s: float) -> None: ...

    def degraded(self, stage: str, reason: str, n_requests: int) -> None: ...


class BrokenCache:
    """A cache that never answers; ``asked`` counts the attempts."""

    def __init__(self):
        self.asked = 0

    def of_shop(self, shop_id):
        return self

    async def get_many(self, keys):
        self._fail()

    async def read(self, keys):
        self._fail()

    async def set_absent(self, values, ttl_s):
        self._fail()

    async def set_many(self, values, ttl_s):
        self._fail()

    async def remove(self, keys):
        self._fail()

    async def keys(self, prefix):
        self._fail()

    def _fail(self):
        self.asked += 1
        raise StoreUnavailable("redis", "ConnectionError")


def new_cache():
    return InMemoryCache(time.monotonic)


async def until(condition: Callable[[], bool], within_s: float = 10) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not come true in time"
        await asyncio.sleep(0.002)


class Api:
    """An ingress with its event loop, and a client of its HTTP API."""

    def __init__(
        self, root, config=None, *, cache=None, items=shown, scorers=None, shop=None, **stages
    ):
        """``stages`` and ``scorers`` replace those that work.

        Args:
            shop: whose items the ingress follows, and a CandidateGenerator with it.
        """
        self.config = config or PATIENT_CONFIG
        self.counts = Counts()
        whole = stages_over(location_of(root), self.config)
        catalogue = CatalogueFollower(shop or InMemoryShop())
        if shop is not None:
            stores = SimpleNamespace(cache=new_cache(), shop=shop, catalogue=catalogue)
            candidates = self.config.candidates
            generator = CandidateGenerator(stores, location_of(root), CacheTtls(), candidates)
            stages["candidates"] = generator.find
        chosen = {"scorers": {**whole.scorers, **(scorers or {})}, **stages}
        self.stages = replace(whole, **chosen)
        self.ingress = Ingress(
            self.config,
            location_of(root),
            self.stages,
            items,
            cache or new_cache(),
            self.counts,
            catalogue,
        )
        self._runner = asyncio.Runner()

    def __enter__(self):
        self.run(self._open())
        return self

    def __exit__(self, *_):
        self.run(self.client.aclose())
        self._runner.close()

    def run(self, awaitable: Awaitable):
        async def awaited():
            return await awaitable

        return self._runner.run(awaited())

    def until(self, condition: Callable[[], bool]) -> None:
        self.run(until(condition))

    def until_in_use(self, version: str) -> "Api":
        self.until(lambda: self.ingress.health()["bundle"] == version)
        return self

    def get(self, path, **options) -> httpx2.Response:
        return self.run(self.client.get(path, **options))

    def post(self, body=None, **options) -> httpx2.Response:
        if body is not None:
            options["content"] = body if isinstance(body, bytes) else json.dumps(body)
            options.setdefault("headers", {}).setdefault("content-type", "application/json")
        return self.run(self.client.post("/recommendations", **options))

    def ask(self, user_id="u000001", **more) -> dict:
        response = self.post({"user_id": user_id, **more})
        assert response.status_code == 200, response.text
        return response.json()

    async def _open(self):
        app = self.ingress.__serve_build_asgi_app__()
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        self.client = httpx2.AsyncClient(transport=transport, base_url="http://recserve")


class Collector(logging.Handler):
    """A handler that appends each record to a list."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


@contextmanager
def logged(name: str) -> Iterator[list[logging.LogRecord]]:
    """The lines that are logged under a name, whatever Ray did to the loggers above it."""
    records: list[logging.LogRecord] = []
    collector = Collector(records)
    logger = logging.getLogger(name)
    level = logger.level
    logger.addHandler(collector)
    logger.setLevel(logging.INFO)
    try:
        yield records
    finally:
        logger.removeHandler(collector)
        logger.setLevel(level)
