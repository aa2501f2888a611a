import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.demo.demo_shop import DemoConfig, make_demo, write_demo
from serve_app.loading.load import InputFiles, LoadConfig
from serve_app.operations.load_shop import load_files
from serve_app.operations.workplace import open_workplace
from tests.support.real_serve import ROOT, Served, served, until
from tests.support.rough_fit import publish_roughly

VARIANTS = ("main", "challenger")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "graph" in item.path.parts:
            item.add_marker(pytest.mark.graph)
    # The Serve of the graph tests lives until the session ends; end-to-end tests need its ports.
    items.sort(key=lambda item: "graph" in item.path.parts)


def silent(step: str, share: float) -> None:
    """Ignores progress."""


@pytest.fixture(scope="package")
def filled_home() -> Iterator[Path]:
    """Stores with a small shop, and a bundle of it."""
    # Short: the path of a socket may have 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="rs-"))
    workplace = open_workplace(
        ROOT / "serve_config.yaml", {**os.environ, "RECSERVE_HOME": str(home)}, ROOT
    )
    made = write_demo(
        make_demo(DemoConfig(n_users=400, n_items=800, n_interactions=20_000)), home / "demo"
    )
    files = InputFiles(made.items, made.users, made.interactions)
    with workplace.stores():
        load_files(workplace, files, LoadConfig(), silent)
        publish_roughly(workplace)
        yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="package")
def running(filled_home: Path) -> Iterator[Served]:
    with served(filled_home, profile=ROOT / "configs/fast.env") as service:
        until(service.is_ready, "ready", deadline_s=120)
        yield service


@pytest.fixture
def service(running: Served) -> Served:
    """The service with nothing degraded, even if the test before disturbed it."""
    until(lambda: is_whole(running), "an answer without anything degraded", deadline_s=90)
    return running


def is_whole(service: Served) -> bool:
    """Tells whether every stage answers for users without a cached answer."""
    unknown = f"nobody-{os.urandom(6).hex()}"
    answers = [service.ask(unknown, model_name=variant) for variant in VARIANTS]
    return all(not answer["degraded"] for answer in answers)
