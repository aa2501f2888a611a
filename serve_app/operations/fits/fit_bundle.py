"""Runs a fit for the configured application and publishes its bundle."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serve_app.bundles.last_fit import record_failure, record_success
from serve_app.bundles.manifest import Manifest
from serve_app.bundles.shared_folders import exclusive
from serve_app.database.preparing import FIT_RIGHTS, prepare_to_write
from serve_app.database.schema import connect, only_fit, shop_id
from serve_app.errors import RecserveError
from serve_app.fitting.fit_source import FitSource
from serve_app.fitting.pipeline import PUBLISH, fit_and_publish, load_published
from serve_app.fitting.run import Progress, StepRun
from serve_app.fitting.workspace.on_ray import on_ray
from serve_app.fitting.workspace.step_folders import Workspace
from serve_app.operations.command_cache import begin_new_epoch
from serve_app.operations.fits.fit_settings import fit_config
from serve_app.operations.fits.metering import metered
from serve_app.operations.workplace import Workplace

Announce = Callable[[str], None]
"""Takes one message for the user."""


@dataclass(frozen=True, slots=True)
class FitRun:
    """The options of ``recserve fit``.

    Attributes:
        step: the only step to run; ``None`` runs every step that is not done yet.
        fresh: discards the results of earlier runs first.
        address: address of a Ray cluster; ``None`` starts a local one.
        force: promotes the new version even if the gate keeps it back.
    """

    step: str | None = None
    fresh: bool = False
    address: str | None = None
    force: bool = False


def fit_bundle(
    workplace: Workplace,
    settings: Path,
    progress: Progress,
    options: FitRun = FitRun(),
    announce: Announce = lambda line: None,
) -> Manifest | None:
    """Fits what the configuration serves, publishes the bundle, and discards cached answers.

    Args:
        settings: path of ``configs/fit.yaml``.
        announce: receives a line about the time and memory of each step.

    Returns:
        The manifest of the published bundle; ``None`` when ``options.step`` was another step.

    Raises:
        NotEnoughData: there is too little to learn from; the served version stays.
        SettingsInvalid: a setting is not allowed, or a store does not answer or cannot be written.
        DatabaseFailed: PostgreSQL ended the work; the served version stays.
        StepMissing: a step that ``options.step`` needs is not done.
    """
    config = fit_config(workplace, settings)
    work = Workspace(workplace.location.home / "fit")
    root, cache_dir = workplace.bundles.root, workplace.bundles.cache_dir
    now_at = time.time()
    # Workers of a cluster run on other machines, which share only the object store.
    storage = root if "://" in root else str(work.folder / "training")
    with (
        _failures_recorded(root),
        workplace.stores() as urls,
        connect(urls.database, "the fit") as conn,
    ):
        # Before Ray starts: a database that cannot be written to is named at once.
        prepare_to_write(conn, FIT_RIGHTS)
        shop = str(shop_id(conn))
        with (
            only_fit(urls.database, lambda: announce("waiting for another fit of this shop")),
            exclusive(work.folder),
            on_ray(options.address, storage) as workers,
        ):
            if options.fresh:
                work.clear()  # under the lock: another fit may still read these results
            for ran in fit_and_publish(
                FitSource(conn, root, cache_dir, now_at),
                work,
                config,
                workers,
                progress,
                metered,
                created_at=now_at,
                only=options.step,
                force=options.force,
            ):
                announce(step_report(ran))
        if options.step not in (None, PUBLISH):
            return None
        begin_new_epoch(urls.redis, shop)
        record_success(root, time.time())
    return load_published(work)


@contextmanager
def _failures_recorded(root: str) -> Iterator[None]:
    try:
        yield
    except RecserveError as failure:
        try:
            record_failure(root, time.time(), str(failure))
        except (RecserveError, OSError) as unrecorded:
            # The fit's own failure is what the caller has to know.
            failure.add_note(f"the failure was not recorded: {unrecorded}")
        raise


def step_report(ran: StepRun) -> str:
    """Describes the time and peak memory of a step in one line."""
    when = "" if ran.again else "  (done before)"
    return f"{ran.step:<11}{ran.done.seconds:7.1f} s{ran.done.peak_bytes / 1e6:8.0f} MB{when}"
