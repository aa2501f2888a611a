"""Recommends items for one request at a time, in the conventional way."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import redis
import xgboost
from numpy.typing import NDArray

from benchmarks.seed_service.features import Features, FeatureStore
from benchmarks.seed_service.model import predict
from serve_app.bundles.bundle import Bundle
from serve_app.domain.batches import CandidateBatch, RequestBatch
from serve_app.domain.interactions import NO_EVENTS, Histories, make_events
from serve_app.recommending.candidates.finding import CandidateFinder

MAX_PER_CATEGORY = 3
RESULT_TTL_S = 300

Recommendation = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecommendationService:
    """
    Attributes:
        clock: returns the epoch seconds of a request.
    """

    features: FeatureStore
    cache: redis.Redis
    booster: xgboost.Booster
    bundle: Bundle
    finder: CandidateFinder
    clock: Callable[[], float]

    def recommend(self, user_id: str, n: int) -> tuple[list[Recommendation], bool]:
        """Finds the list; true if it came from the cache."""
        key = f"recs:{user_id}:{n}:main"
        cached = self.cache.get(key)
        if cached:
            return json.loads(cached), True
        at = self.clock()
        user = self.features.user(user_id)
        candidates = self._candidates(user_id, user, n, at)
        item_ids = self.bundle.fitted.catalogue.item_ids.take(candidates.rows.tolist())
        features = self.features.items(item_ids)
        items = [features[item_id] for item_id in item_ids]
        scores = predict(self.booster, user, items, candidates.features, at)
        chosen = ranked(item_ids, scores, items, n)
        self.cache.setex(key, RESULT_TTL_S, json.dumps(chosen))
        return chosen, False

    def _candidates(self, user_id: str, user: Features, n: int, at: float) -> CandidateBatch:
        """Find candidates for one request with recserve's sources."""
        history = user.get("history", [])
        rows, types, times, values = zip(*history, strict=True) if history else ((),) * 4
        events = make_events(rows, types, times, np.array(values, float)) if history else NO_EVENTS
        batch = RequestBatch.unfiltered((user_id,), n, at, self.bundle.manifest.version)
        return self.finder.find(batch, Histories.of([events]))


def ranked(
    item_ids: Sequence[str], scores: NDArray[np.float32], items: Sequence[Features], n: int
) -> list[Recommendation]:
    """The n best items, at most ``MAX_PER_CATEGORY`` per category while others are left."""
    order = np.argsort(-scores, kind="stable").tolist()
    taken: Counter[str] = Counter()
    chosen: list[int] = []
    waiting: list[int] = []
    for i in order:
        category = items[i]["category"]
        (chosen if taken[category] < MAX_PER_CATEGORY else waiting).append(i)
        taken[category] += 1
        if len(chosen) == n:
            break
    return [
        {"item_id": item_ids[i], "score": float(scores[i]), "reason": _reason(items[i])}
        for i in (chosen + waiting)[:n]
    ]


def _reason(item: Features) -> str:
    if (item["avg_rating"] or 0) >= 4.5:
        return f"Highly rated {item['category']}"
    if (item["popularity"] or 0) > 0.8:
        return f"Popular {item['category']}"
    return f"Recommended {item['category']}"
