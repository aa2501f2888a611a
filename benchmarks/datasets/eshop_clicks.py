"""Converts clicks of the UCI data set "Clickstream Data for Online Shopping" for ``recserve load``.

    python benchmarks/datasets/eshop_clicks.py SOURCE.parquet OUT_DIR

Data: M. Lapczynski and S. Bialowas, "Clickstream Data for Online Shopping", UCI Machine Learning
Repository, data set 553, 2019, CC BY 4.0.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmarks.datasets.published import read_published
from serve_app.errors import OperatorError

COLUMNS = ("session_id", "order", "date", "item", "category", "colour", "price")


class ConvertedClicks(NamedTuple):
    """Tables in the format of ``recserve load``."""

    items: pd.DataFrame
    interactions: pd.DataFrame


def read_clicks(source: Path) -> pd.DataFrame:
    """The clicks as published; raises as ``read_published``."""
    return read_published(source, COLUMNS)


def convert_clicks(clicks: pd.DataFrame) -> ConvertedClicks:
    """Makes a user of each session: visitors are anonymous. The data have no time of day.

    A click is as many seconds after midnight as its place in the session.
    """
    clicks = clicks.sort_values(["session_id", "order"], kind="stable")
    models = clicks.drop_duplicates("item").sort_values("item")
    items = pd.DataFrame(
        {
            "item_id": models["item"],
            "category": models["category"],
            "price": models["price"].astype(float),
            # A code, and no number that could be more or less.
            "colour": "colour " + models["colour"].astype(str),
        }
    )
    midnight = pd.to_datetime(clicks["date"]).dt.tz_localize("UTC")
    interactions = pd.DataFrame(
        {
            "user_id": clicks["session_id"].astype(str),
            "item_id": clicks["item"],
            "type": "click",
            "timestamp": midnight + pd.to_timedelta(clicks["order"], unit="s"),
        }
    )
    return ConvertedClicks(items.reset_index(drop=True), interactions.reset_index(drop=True))


def write_clicks(converted: ConvertedClicks, folder: Path) -> None:
    """Write two Parquet files; each appears complete or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in converted._asdict().items():
        unfinished = folder / f".{name}.parquet.unfinished"
        table.to_parquet(unfinished, index=False, compression="zstd")
        unfinished.replace(folder / f"{name}.parquet")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, help="the clicks as one Parquet file")
    parser.add_argument("out_dir", type=Path, help="folder for items and interactions")
    given = parser.parse_args(arguments)
    try:
        converted = convert_clicks(read_clicks(given.source))
    except OperatorError as failure:
        sys.exit(f"error: {failure}")
    write_clicks(converted, given.out_dir)
    print(f"{len(converted.interactions):,} clicks on {len(converted.items)} items")
    print(f"written to {given.out_dir}: items and interactions (.parquet)")


if __name__ == "__main__":
    main()
