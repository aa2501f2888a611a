"""Composes the JSON of an answer from ranked rows: ids, scores, reasons and metadata."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from serve_app.arrays.columns import NumberColumn
from serve_app.database.records import shortest_float32
from serve_app.domain.batches import RankedBatch
from serve_app.domain.catalogue import UNCATEGORISED, Catalogue
from serve_app.domain.item_patches import ItemNames
from serve_app.live.patched_columns import values_at
from serve_app.recommending.ranking.reasons import reason_text
from serve_app.recommending.similar import SimilarItems

Metadata = Mapping[str, Any]


def item_ids(ranked: RankedBatch, request: int, names: ItemNames) -> list[str]:
    """Ids of the items that are recommended to one request of the batch."""
    rows = ranked.rows[ranked.offsets[request] : ranked.offsets[request + 1]]
    return names.item_ids.take(rows.tolist())


@dataclass(frozen=True, slots=True)
class Content:
    """The recommendations of one request as a JSON array.

    Attributes:
        is_whole: False if the catalogue describes an item whose metadata JSON cannot hold.
    """

    json: bytes
    is_whole: bool = True


def compose(
    ranked: RankedBatch,
    request: int,
    names: ItemNames,
    catalogue: Catalogue,
    metadata: Mapping[str, Metadata] | None,
) -> Content:
    """Writes the recommendations of one request of the batch.

    Args:
        names: at the revision of the batch.
        catalogue: describes items whose metadata cannot be written.
        metadata: by item id; ``None`` if the request does not ask for it.
    """
    part = slice(ranked.offsets[request], ranked.offsets[request + 1])
    ids = item_ids(ranked, request, names)
    reasons = zip(ranked.reasons[part].tolist(), ranked.subjects[part].tolist(), strict=True)
    scores = ranked.scores[part].tolist()
    items: Sequence[dict[str, Any]] = [
        {"item_id": item_id, "score": round(score, 6), "reason": reason_text(*reason, names)}
        for item_id, score, reason in zip(ids, scores, reasons, strict=True)
    ]
    if metadata is not None:
        for item in items:
            item["metadata"] = metadata.get(item["item_id"])
    try:
        return Content(orjson.dumps(items))
    except orjson.JSONEncodeError:
        for item in items:
            if not _is_writable(item["metadata"]):
                item["metadata"] = describe(item["item_id"], catalogue)
        return Content(orjson.dumps(items), is_whole=False)


def _is_writable(metadata: Metadata | None) -> bool:
    """Such as a number of more than 64 bits or a depth of 300 is not."""
    try:
        orjson.dumps(metadata)
    except orjson.JSONEncodeError:
        return False
    return True


def describe(item_id: str, catalogue: Catalogue) -> Metadata:
    """Takes an item's metadata from the catalogue, because no store answers."""
    row = int(catalogue.index.find([item_id])[0])
    in_stock = catalogue.columns["in_stock"]
    [tags] = values_at(catalogue.columns["tags"], np.array([row], np.int32))

    def number(name: str) -> float | None:
        column = catalogue.columns[name]
        assert isinstance(column, NumberColumn), name
        value = float(column.values[row])
        return value if value == value else None  # NaN, the only number unlike itself, is unknown

    return {
        "title": catalogue.titles.at(row),
        "category": catalogue.categories.word(row) or UNCATEGORISED,
        "price": number("price"),
        "tags": list(tags),  # type: ignore[arg-type]
        "in_stock": in_stock.is_set(row),  # type: ignore[union-attr]
        "avg_rating": shortest_float32(number("avg_rating")),
        "num_ratings": int(number("num_ratings") or 0),
        "attributes": {},
    }


def similar_list(similar: SimilarItems, catalogue: Catalogue) -> list[dict[str, Any]]:
    """Turns similar items into JSON values."""
    ids = catalogue.item_ids.take(similar.rows.tolist())
    return [
        {"item_id": item_id, "score": round(score, 6)}
        for item_id, score in zip(ids, similar.scores.tolist(), strict=True)
    ]
