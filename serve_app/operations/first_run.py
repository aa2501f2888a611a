"""Prepares the first start: a demo shop for an empty database, and a bundle to serve."""

from pathlib import Path
from tempfile import TemporaryDirectory

from serve_app.bundles.bundle import open_current
from serve_app.demo.demo_shop import DemoConfig, make_demo, write_demo
from serve_app.errors import BundleError
from serve_app.fitting.run import Progress
from serve_app.loading.load import InputFiles, LoadConfig
from serve_app.operations.fit_bundle import Announce, fit_bundle
from serve_app.operations.load_shop import load_files
from serve_app.operations.workplace import Workplace
from serve_app.stores.postgres.fit_input import busiest_user, holds_items
from serve_app.stores.postgres.schema import ensure_schema


def prepare_first_run(
    workplace: Workplace, fit_settings: Path, announce: Announce, progress: Progress
) -> None:
    """Loads a demo shop if there are no items, and fits a version if none can be served.

    Raises:
        NotEnoughData: the loaded shop is too small to fit.
        SettingsInvalid: a setting is not allowed, or a store does not answer.
    """
    with workplace.database() as conn:
        ensure_schema(conn)
        is_empty = not holds_items(conn)
    if is_empty:
        announce("the store is empty: making a demo shop and loading it")
        _load_demo(workplace, progress)
    if (reason := why_unservable(workplace)) is not None:
        announce(f"{reason}: fitting the models")
        manifest = fit_bundle(workplace, fit_settings, progress, announce=announce)
        if manifest is not None:
            announce(f"published bundle {manifest.version}")


def why_unservable(workplace: Workplace) -> str | None:
    """Says why no published bundle can be served; ``None`` when one can."""
    location = workplace.bundles
    try:
        bundle = open_current(location.root, cache_dir=location.cache_dir)
    except BundleError as error:
        return str(error)
    return "nothing has been published" if bundle is None else None


def example_user(workplace: Workplace) -> str:
    """Finds the user with the most purchases, or a made-up id before the first fit."""
    with workplace.database() as conn:
        return busiest_user(conn) or "anybody"


def _load_demo(workplace: Workplace, progress: Progress) -> None:
    # The home folder has room for the shop; the system's temporary folder may be small.
    with TemporaryDirectory(dir=workplace.location.home) as folder:
        made = write_demo(make_demo(DemoConfig()), Path(folder))
        files = InputFiles(made.items, made.users, made.interactions)
        load_files(workplace, files, LoadConfig(), progress)
