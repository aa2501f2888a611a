"""Reads tables as they were published."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from serve_app.errors import DataRejected


def read_published(source: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A published table in Parquet.

    Raises:
        DataRejected: the file is missing, is no Parquet, or has not the columns.
    """
    if not source.is_file():
        raise DataRejected(source, "there is no such file; see benchmarks/datasets/README.md")
    try:
        table = pd.read_parquet(source)
    except pa.ArrowInvalid as failure:
        raise DataRejected(source, "it is not a Parquet file") from failure
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DataRejected(source, f"it has no column {', '.join(missing)}")
    return table
