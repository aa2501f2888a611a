"""Measures how long narrow filters take on a large catalogue, without a service.

``python -m benchmarks.narrow_filters`` prints a table: each line is a batch of 64 requests that
asks for the popular, the newest and the best items of three categories each.
"""

import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from serve_app.arrays.columns import (
    Column,
    FlagColumn,
    IdIndex,
    NumberColumn,
    Rows,
    TagsColumn,
    TextColumn,
    Texts,
)
from serve_app.arrays.ragged import Offsets, offsets_of
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.filters.allowed_items import AllowedItems
from serve_app.domain.filters.masks import Filter
from serve_app.domain.filters.parsing import parse_filter

N_ITEMS = 1_000_000
N_REQUESTS = 64
N_CATEGORIES = 200
N_BRANDS = 5_000
LIMITS = {"popular": 100, "newest": 400, "category": 34}


def catalogue(n: int, seed: int = 0) -> Catalogue:
    """A catalogue of chance, with a brand, a category and a price for each item."""
    rng = np.random.default_rng(seed)
    ids = [f"i{number:07d}" for number in range(n)]
    numbers = NumberColumn(rng.random(n))
    columns: dict[str, Column] = {
        "category": TextColumn.of([f"c{code}" for code in rng.integers(0, N_CATEGORIES, n)]),
        "brand": TextColumn.of([f"b{code}" for code in rng.integers(0, N_BRANDS, n)]),
        "price": NumberColumn(rng.uniform(0, 100, n)),
        "tags": TagsColumn(np.empty(0, np.int32), np.zeros(n + 1, np.int64), Texts.of([])),
        "in_stock": FlagColumn(np.ones(n, np.int8)),
        **dict.fromkeys(("created_at", "avg_rating", "num_ratings", "popularity"), numbers),
    }
    texts, nothing = Texts.of(ids), np.zeros((n, 0), np.float32)
    return Catalogue(
        "v", texts, texts, IdIndex.of(ids), np.ones(n, bool), columns, nothing, nothing
    )


@dataclass(frozen=True, slots=True)
class Orders:
    """The orders of the catalogue in which the sources look."""

    popular: Rows
    newest: Rows
    by_category: Rows
    bounds: Offsets

    @classmethod
    def of(cls, shop: Catalogue) -> "Orders":
        codes, popular = shop.categories.codes, np.arange(len(shop), dtype=np.int32)
        lengths = np.bincount(codes, minlength=N_CATEGORIES)
        by_category = np.argsort(codes, kind="stable").astype(np.int32)
        return cls(popular, popular[::-1].copy(), by_category, offsets_of(lengths))


def ask(items: AllowedItems, wanted: Sequence[Filter | None], orders: Orders) -> float:
    """Seconds for what the sources ask of the filters of a batch."""
    favourites = np.arange(3 * len(wanted)) % N_CATEGORIES
    started_s = time.perf_counter()
    allowed = items.for_requests(wanted, np.empty(0, np.int64))
    allowed.first(orders.popular, LIMITS["popular"])
    allowed.first(orders.newest, LIMITS["newest"])
    allowed.first_within(
        orders.by_category,
        orders.bounds[favourites],
        orders.bounds[favourites + 1],
        np.arange(len(wanted)).repeat(3),
        LIMITS["category"],
    )
    return time.perf_counter() - started_s


def filters(shop: Catalogue, n_distinct: int) -> list[Filter | None]:
    """Filters that allow about ten items each: ``brand = X, price <= 5``."""
    types = {name: type(column) for name, column in shop.columns.items()}
    return [
        parse_filter({"brand": f"b{i % n_distinct}", "price": {"lte": 5}}, types)
        for i in range(N_REQUESTS)
    ]


def main() -> None:
    shop = catalogue(N_ITEMS)
    items, orders = AllowedItems(shop), Orders.of(shop)
    batches: Mapping[str, Sequence[Filter | None]] = {
        "no filter": [None] * N_REQUESTS,
        "one narrow filter": filters(shop, 1),
        "the same again": filters(shop, 1),
        "64 narrow filters": filters(shop, 64),
        "the same 64 again": filters(shop, 64),
    }
    for name, wanted in batches.items():
        before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds = ask(items, wanted, orders)
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name:<20} {seconds * 1e3:>8.0f} ms  peak + {peak_mb - before_mb:.0f} MB")


if __name__ == "__main__":
    main()
