"""Loading files into a real PostgreSQL."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serve_app.errors import DataRejected, SchemaMismatch
from serve_app.offline.load import LoadConfig, LoadFiles, LoadSummary, load
from serve_app.stores.schema import Connection, connect
from serve_app.stores.staging import MergeCounts

NOW_AT = 1_750_000_000.0
LENIENT = LoadConfig(max_reject_share=1.0)


def run(conn: Connection, config: LoadConfig = LoadConfig(), **files: Path) -> LoadSummary:
    return load(conn, LoadFiles(**files), config, lambda file, share: None, now_at=NOW_AT)


def counts(summary: LoadSummary) -> MergeCounts:
    (file,) = summary.files
    return file.counts


def write_csv(path: Path, header: str, *lines: str) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def all_rows(conn: Connection, table: str) -> list[tuple[object, ...]]:
    key = {"item_features": "item_row", "user_features": "user_id", "interactions": "event_id"}
    return conn.execute(f"SELECT * FROM {table} ORDER BY {key[table]}").fetchall()


def column(conn: Connection, query: str) -> list[object]:
    return [value for (value,) in conn.execute(query)]


ITEMS_HEADER = "item_id,title,category,price,tags,in_stock,created_at"


@pytest.fixture(params=["csv", "parquet"])
def shop_files(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Path]:
    """The same small shop in both formats."""
    tables = {
        "items": pa.table(
            {
                "item_id": ["pan", "pot"],
                "title": ["Pan, large", None],
                "category": ["kitchen", None],
                "price": [12.5, None],
                "tags": [["steel", "new"], None],
                "in_stock": [False, None],
                "created_at": pa.array([1.7e9, None], pa.float64()).cast(pa.timestamp("us", "UTC"))
                if False
                else pa.array([1_700_000_000_000_000, None], pa.timestamp("us", "UTC")),
                "weight": [3, None],
                "organic": [True, False],
                "brand": ["007", "x"],
                "sizes": [["s", "m"], None],
            }
        ),
        "users": pa.table({"user_id": ["ann", "bob"], "created_at": ["2024-01-01", None]}),
        "interactions": pa.table(
            {
                "user_id": ["ann", "ann", "bob"],
                "item_id": ["pan", "pot", "jug"],
                "timestamp": ["2024-05-01T10:00:00Z", "1714557600", "2024-05-01 12:00:00+02:00"],
                "type": ["purchase", None, "rating"],
                "value": [2.0, None, 4.5],
            }
        ),
    }
    return {
        kind: (_as_csv if request.param == "csv" else _as_parquet)(table, tmp_path / kind)
        for kind, table in tables.items()
    }


def _as_parquet(table: pa.Table, path: Path) -> Path:
    path = path.with_suffix(".parquet")
    pq.write_table(table, path)
    return path


def _as_csv(table: pa.Table, path: Path) -> Path:
    path = path.with_suffix(".csv")
    with path.open("w", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(table.column_names)
        for row in table.to_pylist():
            writer.writerow(map(_as_cell, row.values()))
    return path
