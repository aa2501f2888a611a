"""From files to something that can be served: load, fit, and forgetting what has been cached."""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pydantic import ValidationError

from serve_app.bundles.bundle import open_current
from serve_app.bundles.manifest import Manifest
from serve_app.bundles.shared_folders import exclusive
from serve_app.demo.demo_shop import DemoConfig, make_demo, write_demo
from serve_app.embedded.lease import StoreUrls
from serve_app.errors import BundleError, SettingsInvalid, StoreUnavailable
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.pipeline import PUBLISH, FitSource, fit_and_publish, published
from serve_app.fitting.run import Progress, Ran
from serve_app.fitting.workspace.on_ray import on_ray
from serve_app.fitting.workspace.step_folders import Workspace
from serve_app.fitting.workspace.workers import Workers
from serve_app.loading.load import InputFiles, LoadConfig, LoadSummary, load
from serve_app.operations.lint import load_yaml
from serve_app.operations.metering import metered
from serve_app.operations.workplace import Workplace, use_cache
from serve_app.serving.config import AppConfig
from serve_app.stores.epochs import EPOCH_BYTES, begin_epoch
from serve_app.stores.postgres.fit_input import busiest_user, holds_items
from serve_app.stores.postgres.schema import connect, ensure_schema

Announce = Callable[[str], None]

_SET_ELSEWHERE = {"candidates", "ranking"}


def load_files(
    workplace: Workplace, files: InputFiles, config: LoadConfig, progress: Progress
) -> LoadSummary:
    """
    Load, and forget what the caches say of before.

    Raises:
        DataRejected: nothing was loaded; says why.
    """
    with workplace.stores() as urls, connect(urls.database) as conn:
        summary = load(
            conn,
            files,
            config,
            lambda file, share: progress(f"loading {file.name}", share),
            now_at=time.time(),
        )
        forget_cached(urls.redis)
    return summary


@dataclass(frozen=True, slots=True)
class FitRun:
    """
    How a fit is run.

    Attributes:
        step: runs alone; ``None`` for all steps that are not done.
        fresh: forgets what earlier runs have left.
        address: of a Ray cluster; ``None`` for one of its own on this machine.
        force: serve what comes out, whatever the gate says.
    """

    step: str | None = None
    fresh: bool = False
    address: str | None = None
    force: bool = False


def fit_bundle(
    workplace: Workplace,
    settings: Path,
    progress: Progress,
    how: FitRun = FitRun(),
    announce: Announce = lambda line: None,
) -> Manifest | None:
    """
    Fit what the configuration serves, publish it, and forget what the caches say of before.

    Args:
        settings: ``configs/fit.yaml``.
        announce: told what each step took.

    Returns:
        What was published; ``None`` when only another step ran.

    Raises:
        NotEnoughData: too little to learn from; what is served stays.
        SettingsInvalid: the settings are not as they must be.
        StepMissing: a step that the only one needs is not done.
    """
    config = fit_config(workplace, settings)
    work = Workspace(workplace.location.home / "fit")
    with _fitting(workplace, work, how) as (urls, shop, workers):
        for ran in fit_and_publish(
            shop,
            work,
            config,
            workers,
            progress,
            metered,
            created_at=time.time(),
            only=how.step,
            force=how.force,
        ):
            announce(step_report(ran))
        if how.step not in (None, PUBLISH):
            return None
        forget_cached(urls.redis)
    return published(work)


class _Opened(NamedTuple):
    urls: StoreUrls
    shop: FitSource
    workers: Workers


@contextmanager
def _fitting(workplace: Workplace, work: Workspace, how: FitRun) -> Iterator[_Opened]:
    """What a fit works with; no other works in the same folder meanwhile."""
    root, cache_dir = workplace.bundles.root, workplace.bundles.cache_dir
    storage = root if "://" in root else str(work.folder / "training")
    with (
        workplace.stores() as urls,
        connect(urls.database) as conn,
        exclusive(work.folder),
        on_ray(how.address, storage) as workers,
    ):
        ensure_schema(conn)
        if how.fresh:
            work.clear()
        yield _Opened(urls, FitSource(conn, root, cache_dir), workers)


def step_report(ran: Ran) -> str:
    """What a step took, in one line."""
    when = "" if ran.again else "  (done before)"
    return f"{ran.step:<11}{ran.done.seconds:7.1f} s{ran.done.peak_bytes / 1e6:8.0f} MB{when}"


def fit_config(workplace: Workplace, settings: Path) -> FitConfig:
    """
    The settings of the fit. Candidates are found as they are when serving, from histories of the
    same length: a model learns to tell apart what it will be shown.

    Raises:
        SettingsInvalid: they are not as they must be.
    """
    config = read_fit_settings(settings, workplace.config)
    check_variants(workplace.config.variants, config, settings)
    return config


def read_fit_settings(settings: Path, app: AppConfig) -> FitConfig:
    """
    What ``configs/fit.yaml`` says, and the rest as it is when serving.

    Raises:
        SettingsInvalid: it is not as it must be.
    """
    written = load_yaml(settings)
    for name in _SET_ELSEWHERE & written.keys():
        reason = f"{name}: is set in args.{name} of serve_config.yaml"
        raise SettingsInvalid(str(settings), reason)
    try:
        return as_served(FitConfig.model_validate(written), app)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise SettingsInvalid(str(settings), f"{place}: {first['msg']}") from error


def check_variants(served: Sequence[str], config: FitConfig, settings: Path) -> None:
    """
    Raises:
        SettingsInvalid: a variant is served that the settings of the fit do not describe.
    """
    missing = sorted(set(served) - set(config.variants))
    if missing:
        raise SettingsInvalid(
            str(settings), f"variants: {', '.join(missing)} served but not described"
        )


def as_served(config: FitConfig, app: AppConfig) -> FitConfig:
    """With candidates, histories and lists as they are when serving, and variants in that order."""
    described = config.variants
    first = {name: described[name] for name in app.variants if name in described}
    limit = app.stores.postgres.max_events_per_user
    snapshot = config.snapshot.model_copy(update={"max_events_per_user": limit})
    served = {
        "variants": {**first, **described},
        "candidates": app.candidates,
        "ranking": app.ranking,
        "snapshot": snapshot,
    }
    return config.model_copy(update=served)


def forget_cached(redis_url: str) -> None:
    """
    Forget everything that was computed from what has been replaced.

    Raises:
        SettingsInvalid: Redis does not answer. What was loaded or published is in use all the
            same; what Redis holds of before is given until its time to live is over.
    """

    epoch = secrets.token_bytes(EPOCH_BYTES)
    try:
        use_cache(redis_url, lambda cache: begin_epoch(cache, epoch))
    except StoreUnavailable as failure:
        raise SettingsInvalid("REDIS_URL", f"the caches are not emptied: {failure}") from failure


def fill_when_empty(
    workplace: Workplace, fit_settings: Path, announce: Announce, progress: Progress
) -> None:
    """A demo shop where there are no items, and a bundle where there is none that can be read."""
    with workplace.database() as conn:
        ensure_schema(conn)
        is_empty = not holds_items(conn)
    if is_empty:
        announce("the store is empty: making a demo shop and loading it")
        with TemporaryDirectory(dir=workplace.location.home) as folder:
            made = write_demo(make_demo(DemoConfig()), Path(folder))
            files = InputFiles(made.items, made.users, made.interactions)
            load_files(workplace, files, LoadConfig(), progress)
    if (reason := unservable(workplace)) is not None:
        announce(f"{reason}: fitting the models")
        manifest = fit_bundle(workplace, fit_settings, progress, announce=announce)
        if manifest is not None:
            announce(f"published bundle {manifest.version}")


def unservable(workplace: Workplace) -> str | None:
    """Why nothing can be served before a fit; ``None`` when something can."""
    location = workplace.bundles
    try:
        bundle = open_current(location.root, cache_dir=location.cache_dir)
    except BundleError as error:
        return str(error)
    return "nothing has been published" if bundle is None else None


def somebody(workplace: Workplace) -> str:
    """A user to try a request with."""
    with workplace.database() as conn:
        return busiest_user(conn) or "anybody"
