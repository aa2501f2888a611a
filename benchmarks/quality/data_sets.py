"""Makes the data sets that quality is measured on, as files for ``recserve load``."""

from pathlib import Path

from benchmarks.datasets import eshop_clicks, online_retail
from serve_app.demo.demo_shop import DemoConfig, make_demo, write_demo
from serve_app.loading.load import InputFiles

DEMO = DemoConfig()


def retail_files(source: Path, folder: Path) -> InputFiles:
    """
    Convert the published table of Online Retail.

    Raises:
        DataRejected: the table cannot be read or lacks a column.
    """
    online_retail.write(online_retail.convert(online_retail.read_source(source)), folder)
    return _files(folder)


def eshop_files(source: Path, folder: Path) -> InputFiles:
    """
    Convert the published clicks of a shop.

    Raises:
        DataRejected: the table cannot be read or lacks a column.
    """
    eshop_clicks.write_clicks(eshop_clicks.convert_clicks(eshop_clicks.read_clicks(source)), folder)
    return InputFiles(folder / "items.parquet", None, folder / "interactions.parquet")


def demo_files(folder: Path) -> InputFiles:
    write_demo(make_demo(DEMO), folder)
    return _files(folder)


def _files(folder: Path) -> InputFiles:
    return InputFiles(*(folder / f"{name}.parquet" for name in ("items", "users", "interactions")))
