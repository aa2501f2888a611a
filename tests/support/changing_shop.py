"""Gives tests a small shop whose items change, and its catalogue built afresh after the changes."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from serve_app.arrays.columns import IdIndex
from serve_app.arrays.units import DAY_S
from serve_app.domain.catalogue import UNCATEGORISED, Catalogue
from serve_app.domain.fitted import Fitted
from serve_app.domain.interactions import InteractionLog
from serve_app.domain.item_changes import ItemChange
from serve_app.fitting.data.items import build_catalogue, withdrawn_at
from serve_app.fitting.data.labels import BOUGHT
from serve_app.fitting.moments.snapshot import SnapshotConfig, build_archive, compute_numbers
from serve_app.fitting.tables.fit_tables import fit_tables
from serve_app.fitting.tables.tables_config import TablesConfig
from tests.support.hand_made_logs import log_of

AT = 100 * DAY_S
N_ITEMS, N_SPARE = 8, 4
KINDS = {"brand": "text", "width": "number", "eco": "flag", "uses": "list", "fresh": "text"}
CONFIG = SnapshotConfig(embedding_dim=2)

LOG: InteractionLog = log_of(
    ("ann", 0, "view", 50),
    ("ann", 1, "purchase", 60),
    ("bob", 1, "purchase", 70),
    ("bob", 2, "view", 80),
    ("cat", 2, "purchase", 85),
    ("cat", 3, "view", 90),
)
TRIED = 4
"""Items with interactions: the age of each is that of its first one, at the latest."""


def first_items() -> list[ItemChange]:
    """The items that the fit knows."""
    categories = ["mugs", "mugs", "lamps", "lamps", "mugs", UNCATEGORISED, "rugs", "lamps"]
    return [
        ItemChange(
            revision=0,
            row=row,
            item_id=f"i{row}",
            title=f"{('red', 'blue')[row % 2]} thing",
            category=categories[row],
            price=None if row == 3 else float(row + 1),
            tags=("old", "oak")[: row % 3],
            in_stock=row != 6,
            created_at=None if row == 5 else (10 + row) * DAY_S,
            is_listed=row != 7,
            attributes={"brand": "Ash", "width": row} if row % 2 else {"eco": True, "uses": ["x"]},
        )
        for row in range(N_ITEMS)
    ]


@st.composite
def item_changes(draw: st.DrawFn) -> list[ItemChange]:
    """Changes in the order of their revisions, of known and of new items."""
    rows = draw(st.lists(st.integers(0, N_ITEMS + N_SPARE - 1), max_size=8))
    return [draw(_changes(row, revision)) for revision, row in enumerate(rows, start=1)]


def _changes(row: int, revision: int) -> st.SearchStrategy[ItemChange]:
    known = first_items()[row].created_at if row < TRIED else None
    ages = st.sampled_from([None, 5 * DAY_S, 12 * DAY_S, 95 * DAY_S])
    attributes = {
        "brand": st.sampled_from(["Ash", "Oak"]),
        "width": st.integers(0, 9),
        "eco": st.booleans(),
        "uses": st.lists(st.sampled_from(["x", "y"]), max_size=2),
        "fresh": st.sampled_from(["new", "newer"]),
    }
    return st.builds(
        ItemChange,
        revision=st.just(revision),
        row=st.just(row),
        item_id=st.just(f"i{row}"),
        title=st.sampled_from(["red thing", "green thing", f"i{row}"]),
        category=st.sampled_from(["mugs", "lamps", "hats", UNCATEGORISED]),
        price=st.sampled_from([None, 2.0, 19.99]),
        tags=st.sampled_from([(), ("oak",), ("new", "old")]),
        in_stock=st.booleans(),
        created_at=st.just(known) if row < TRIED else ages,
        is_listed=st.booleans(),
        attributes=st.fixed_dictionaries({}, optional=attributes),
    )


def after(changes: Sequence[ItemChange]) -> list[ItemChange]:
    """All items as the last of their changes describes them."""
    latest = {item.row: item for item in [*first_items(), *changes]}
    return [latest[row] for row in sorted(latest)]


@cache
def first_fitted() -> Fitted:
    """The arrays of a bundle with the first items."""
    catalogue = catalogue_of(first_items())
    return Fitted(catalogue, fit_tables(catalogue, LOG, AT, TablesConfig()), _archive())


def catalogue_of(items: Sequence[ItemChange]) -> Catalogue:
    """The catalogue as a fit builds it, with spare rows."""
    frame = pd.DataFrame([_row_of(item) for item in items])
    n_spare = N_ITEMS + N_SPARE - 1 - int(frame["item_row"].max())
    built = build_catalogue(frame, LOG, 2, n_spare)
    listed = built.listed & np.isnan(withdrawn_at(frame, len(built)))
    created_at = np.full(len(LOG.user_ids), np.nan)
    return compute_numbers(built, LOG, AT, listed, created_at, CONFIG).catalogue


def _row_of(item: ItemChange) -> dict[str, Any]:
    return {
        "item_row": item.row,
        "item_id": item.item_id,
        "title": item.title,
        "category": item.category,
        "price": np.nan if item.price is None else item.price,
        "tags": list(item.tags),
        "in_stock": item.in_stock,
        "created_at": np.nan if item.created_at is None else item.created_at,
        "withdrawn_at": np.nan if item.is_listed else AT,
        "attributes": dict(item.attributes),
    }


def _archive():
    return build_archive(LOG, IdIndex.of(LOG.user_ids), BOUGHT)
