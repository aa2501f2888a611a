"""Measures what an overlay costs: memory and processor time, on a large catalogue that changes.

``python -m benchmarks.live_catalogue`` prints a line for each simulated hour of 1,000 changes a
minute, which a follower reads twice a second.
"""

import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.narrow_filters import catalogue
from serve_app.arrays.columns import IdIndex
from serve_app.arrays.ragged import offsets_of
from serve_app.domain.candidate_tables import N_CONTEXTS, CandidateTables
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.fitted import Fitted
from serve_app.domain.interactions import NO_EVENTS, HistoryArchive
from serve_app.domain.item_changes import Changes, ItemChange
from serve_app.live.overlay import Live, apply
from serve_app.recommending.scoring.model_features import ITEM_FEATURES

N_ITEMS = 1_000_000
CHANGES_PER_MINUTE = 1_000
POLLS_PER_MINUTE = 120
HOURS = 6
N_WORDS = 1_000
DIMENSIONS = 32
KINDS = {"brand": "text"}

SHARES = {"price": 0.5, "stock": 0.3, "words": 0.1, "category": 0.05, "new": 0.05}
"""Shares of the kinds of changes."""


@dataclass(frozen=True, slots=True)
class Cost:
    """
    Attributes:
        n_rows: items that changed so far.
        bytes: memory of the overlay, beside the arrays of the bundle.
        cpu_share: seconds of the processor per second of the follower.
    """

    n_rows: int
    bytes: int
    cpu_share: float


def fitted(n: int, n_spare: int) -> Fitted:
    """Arrays of chance with empty rows at the end. What an overlay does not read is zero."""
    shop = catalogue(n + n_spare)
    listed = np.arange(n + n_spare) < n
    features = np.zeros((n + n_spare, len(ITEM_FEATURES)), np.float32)
    shop = Catalogue(
        "v", shop.item_ids, shop.titles, shop.index, listed, shop.columns, features[:, :0], features
    )
    return Fitted(shop, _tables(shop), HistoryArchive(IdIndex.of([]), np.zeros(1, int), NO_EVENTS))


_LISTS_OF_ITEMS = ("neighbour", "buyer", "basket", "linear", "transition", "visit")
_LISTS_OF_ROWS = ("neighbour", "basket", "linear", "transition", "pair", "session")


def _tables(shop: Catalogue) -> CandidateTables:
    n = len(shop)
    rows = np.flatnonzero(shop.listed).astype(np.int32)
    popular = rows[np.lexsort((rows, -shop.number("popularity")[rows]))]
    newest = rows[np.lexsort((rows, -shop.number("created_at")[rows]))]
    codes = shop.categories.codes[popular]
    none, nothing = np.zeros(n + 1, np.int64), np.empty(0, np.float32)
    no_rows, columns = np.empty(0, np.int32), np.zeros((n, 0), np.float32)
    empty: dict[str, Any] = {
        **{f"{name}_offsets": none for name in _LISTS_OF_ITEMS},
        **{f"{name}_offsets": np.zeros(1, np.int64) for name in ("session", "pair")},
        **{f"{name}_rows": no_rows for name in _LISTS_OF_ROWS},
        **dict.fromkeys(("buyers", "visits", "session_items"), no_rows),
        **dict.fromkeys(("neighbour_scores", "basket_weights", "linear_weights"), nothing),
        **dict.fromkeys(("pair_weights", "pair_rests", "next_biases"), nothing),
        **dict.fromkeys(("recent_trends", "factors_in", "factors_out", "period_counts"), columns),
        **dict.fromkeys(("step_in", "step_out"), columns),
    }
    return CandidateTables(
        until_at=np.zeros(1),
        source_weights=nothing,
        transition_weights=np.zeros((0, 3), np.float32),
        context_vectors=np.zeros((0, N_CONTEXTS, 1), np.float32),
        next_vectors=np.zeros((0, 1), np.float32),
        pair_keys=np.empty(0, np.int64),
        popular_rows=popular,
        category_offsets=offsets_of(np.bincount(codes, minlength=shop.categories.n_words)),
        category_rows=popular[np.argsort(codes, kind="stable")],
        newest_rows=newest,
        **empty,
        trends=np.zeros(n, np.float32),
        content_vectors=np.zeros((n, DIMENSIONS), np.float32),
        word_index=IdIndex.of([f"w{i}" for i in range(N_WORDS)]),
        word_vectors=np.ones((N_WORDS, DIMENSIONS), np.float32),
        ending_types=np.zeros(6, bool),
        period_starts_at=np.zeros(1),
        period_totals=nothing,
        period_users=nothing,
    )


def changes_of(base: Fitted, n_items: int, seed: int = 0) -> Iterator[ItemChange]:
    """Changes without end, in the order of their revisions."""
    rng, shop = np.random.default_rng(seed), base.catalogue
    kinds, shares = list(SHARES), list(SHARES.values())
    brands, prices = shop.columns["brand"], shop.number("price")
    revision, n_new = 0, 0
    while True:
        for kind in rng.choice(kinds, 1_000, p=shares):
            revision += 1
            row = int(rng.integers(n_items))
            if kind == "new" and n_items + n_new < len(shop):
                row, n_new = n_items + n_new, n_new + 1
            item_id = shop.item_ids.at(row)
            yield ItemChange(
                revision,
                row,
                item_id,
                f"w{rng.integers(N_WORDS)} {item_id}" if kind in ("words", "new") else item_id,
                f"c{rng.integers(200)}" if kind == "category" else shop.categories.word(row) or "c",
                float(rng.uniform(0, 100)) if kind == "price" else float(prices[row]),
                (f"w{rng.integers(N_WORDS)}",) if kind == "words" else (),
                in_stock=bool(kind != "stock" or rng.random() < 0.5),
                created_at=1.0,
                attributes={"brand": brands.word(row)},  # type: ignore[union-attr]
            )


def run(n_items: int, n_spare: int, minutes: int, report_every: int) -> Iterator[Cost]:
    """Simulates minutes of changes, as fast as they can be applied."""
    base = fitted(n_items, n_spare)
    live, coming = Live.of(base, 0), changes_of(base, n_items)
    size, rest, poll = CHANGES_PER_MINUTE // POLLS_PER_MINUTE, 0, 0
    tracemalloc.start()
    before, spent_s = tracemalloc.get_traced_memory()[0], 0.0
    for minute in range(1, minutes + 1):
        for poll in range(POLLS_PER_MINUTE):
            rest = poll < CHANGES_PER_MINUTE % POLLS_PER_MINUTE
            items = [next(coming) for _ in range(size + rest)]
            started_s = time.process_time()
            live = apply(live, Changes(items[-1].revision, items, kinds=KINDS))
            spent_s += time.process_time() - started_s
        if minute % report_every == 0:
            del items
            used = tracemalloc.get_traced_memory()[0] - before
            yield Cost(len(live.rows), used, spent_s / (60 * report_every))
            spent_s = 0.0
    tracemalloc.stop()


def main() -> None:
    for hour, cost in enumerate(run(N_ITEMS, N_ITEMS // 10, 60 * HOURS, 60), start=1):
        print(
            f"hour {hour}: {cost.n_rows:>8,} items changed  {cost.bytes / 1e6:>5.1f} MB"
            f"  {cost.cpu_share:>5.1%} of a core",
            flush=True,
        )


if __name__ == "__main__":
    main()
