"""Checks that recserve and the seed service give equal answers, before anything is timed.

recserve re-orders its list for diversity; the seed service only caps categories. Asked for as many
items as it picks from, recserve returns all of them with their scores. The cap over these items
must give the seed service's list.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import requests

from benchmarks.seed_service.service import MAX_PER_CATEGORY
from benchmarks.serving import Running
from benchmarks.stopping import BenchmarkFailed

N_POOL, N_ITEMS, N_USERS = 100, 10, 25
TOLERANCE = 1e-4
"""Ages in days grow between two requests, and scores are rounded."""


def check_same_answers(ours: Running, seed: Running, user_ids: Sequence[str]) -> int:
    """
    Compare the lists of the first few users, and return their number.

    Raises:
        BenchmarkFailed: two lists differ.
    """
    for user_id in user_ids[:N_USERS]:
        pool = _ask(ours, user_id, n=N_POOL, model_name="main", include_metadata=True)
        expected = capped(pool, N_ITEMS)
        found = _ask(seed, user_id, n=N_ITEMS)
        if not are_same(expected, found):
            raise BenchmarkFailed(f"the answers for {user_id} differ: {expected} and {found}")
    return len(user_ids[:N_USERS])


def capped(pool: Sequence[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    """The n best items, at most ``MAX_PER_CATEGORY`` per category while others are left."""
    taken: Counter[str] = Counter()
    chosen: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = []
    for item in sorted(pool, key=lambda item: -item["score"]):
        category = item["metadata"]["category"]
        (chosen if taken[category] < MAX_PER_CATEGORY else waiting).append(item)
        taken[category] += 1
    return (chosen + waiting)[:n]


def are_same(some: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> bool:
    """Compare scores by position, and items wherever their score is unique."""
    if len(some) != len(others):
        return False
    close = all(
        abs(a["score"] - b["score"]) <= TOLERANCE for a, b in zip(some, others, strict=True)
    )
    scores = [item["score"] for item in some]
    unique = [
        i
        for i, score in enumerate(scores)
        if sum(abs(score - other) <= 2 * TOLERANCE for other in scores) == 1
    ]
    # The last item may be tied with one after the end of the list.
    compared = unique[:-1] if unique and unique[-1] == len(scores) - 1 else unique
    return close and all(some[i]["item_id"] == others[i]["item_id"] for i in compared)


def _ask(running: Running, user_id: str, **more: object) -> list[dict[str, Any]]:
    body = {"user_id": user_id, **more}
    answer = requests.post(f"{running.url}/recommendations", json=body, timeout=30)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()["recommendations"]
    return found
