"""Prepares the first start: a demo shop for an empty database, and a bundle to serve."""

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from serve_app.bundles.bundle import (
    current_version,
    ensure_same_shop,
    manifest_of,
    open_current,
)
from serve_app.bundles.manifest import unusable_variants
from serve_app.database.fit_input import busiest_user, holds_items
from serve_app.database.schema import ensure_schema, shop_id
from serve_app.demo.demo_shop import DemoConfig, make_demo, write_demo
from serve_app.errors import BundleError
from serve_app.fitting.run import Progress
from serve_app.fitting.starter import publish_starter
from serve_app.loading.load import InputFiles, LoadConfig
from serve_app.operations.fits.fit_bundle import Announce, FitRun, fit_bundle
from serve_app.operations.load_shop import load_files
from serve_app.operations.workplace import Workplace

_EMPTY = (
    "the shop is empty: fill it over HTTP or with `recserve load`, or load the demo shop with"
    " `recserve run --demo`"
)


def prepare_first_run(
    workplace: Workplace,
    fit_settings: Path,
    announce: Announce,
    progress: Progress,
    *,
    demo: bool = False,
    empty: bool = False,
) -> None:
    """Loads a demo shop if there are no items, and fits a version if none can be served.

    A database that is not embedded may be that of a real shop that nobody has filled yet. It stays
    empty, and so does a shop that was served empty before. An empty shop fills while it is served.

    Args:
        demo: load the demo shop into any empty database.
        empty: serve an empty embedded database as it is.

    Raises:
        AnotherShop: the served bundle was fitted on another database.
        NotEnoughData: the loaded shop is too small to fit.
        SettingsInvalid: a setting is not allowed, or a store does not answer.
    """
    with workplace.database() as conn:
        ensure_schema(conn)
        is_empty, shop = not holds_items(conn), str(shop_id(conn))
    # Before anything is made: the fit below may replace what is served.
    ensure_same_shop(workplace.bundles.root, shop)
    unservable = why_unservable(workplace)
    if is_empty and not demo and (empty or _stays_empty(workplace)):
        announce(_EMPTY)
        if unservable is not None:
            variants = workplace.config.variants
            publish_starter(workplace.bundles.root, shop, variants, time.time())
        return
    if is_empty:
        announce("the store is empty: making a demo shop and loading it")
        _load_demo(workplace, progress)
    if unservable is not None:
        announce(f"{unservable.reason}: fitting the models")
        # The gate would compare with the model of the main variant, and might keep a bundle that
        # lacks others. Where that model is missing too, it decides: popularity may order the lists.
        options = FitRun(force=unservable.lacks_others)
        manifest = fit_bundle(workplace, fit_settings, progress, options, announce)
        if manifest is not None:
            announce(f"published bundle {manifest.version}")


def _stays_empty(workplace: Workplace) -> bool:
    if workplace.location.database_url:
        return True
    root = workplace.bundles.root
    try:
        version = current_version(root)
        return version is not None and not manifest_of(root, version).n_items
    except BundleError:
        return False


@dataclass(frozen=True, slots=True)
class Unservable:
    """Why no published bundle can be served.

    Attributes:
        lacks_others: the bundle has a model of the main variant, but lacks one of another variant.
    """

    reason: str
    lacks_others: bool = False


def why_unservable(workplace: Workplace) -> Unservable | None:
    """Says why no published bundle can be served; ``None`` when one can."""
    location = workplace.bundles
    try:
        bundle = open_current(location.root, cache_dir=location.cache_dir)
    except BundleError as error:
        return Unservable(str(error))
    if bundle is None:
        return Unservable("nothing has been published")
    if lacking := unusable_variants(bundle.manifest, workplace.config.variants):
        version = bundle.manifest.version
        reason = f"bundle {version} has no model of {', '.join(lacking)} that this build can use"
        return Unservable(reason, lacks_others=workplace.config.variants[0] not in lacking)
    return None


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
