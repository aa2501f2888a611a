"""Defines the verbs that lead from files to a published version: demo, load, fit."""

import time
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import click

from serve_app.cli.options import (
    FILE,
    config_option,
    fit_settings_option,
    workplace_of,
)
from serve_app.cli.progress import show_progress
from serve_app.cli.reading_options import items_option, reading_options, users_option
from serve_app.demo.demo_shop import DemoConfig, demo_files, make_demo, write_demo
from serve_app.errors import SettingsInvalid
from serve_app.fitting.fit_config import STEP_SETTINGS
from serve_app.loading.load import InputFiles, LoadConfig
from serve_app.operations.fits.fit_bundle import FitRun, fit_bundle
from serve_app.operations.fits.fit_ending import describe_ending
from serve_app.operations.fits.repeated_fits import fit_every, parse_period
from serve_app.operations.load_shop import load_files, load_report
from serve_app.operations.migrate_shop import migrate
from serve_app.operations.versions import describe_publication, page


@click.command("demo", context_settings={"show_default": True})
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--users", type=click.IntRange(1), default=2_000, help="Number of users.")
@click.option("--items", type=click.IntRange(1), default=5_000, help="Number of items.")
@click.option(
    "--interactions", type=click.IntRange(1), default=100_000, help="Number of interactions."
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=7,
    help="Seed of the simulation. Equal seeds give equal shops.",
)
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
def demo_command(
    folder: Path, users: int, items: int, interactions: int, seed: int, *, force: bool
) -> None:
    """Write the files of a simulated shop to FOLDER."""
    existing = [str(file) for file in demo_files(folder) if file.exists()]
    if existing and not force:
        reason = "already there; --force overwrites existing files"
        raise SettingsInvalid(", ".join(existing), reason)
    files = write_demo(make_demo(DemoConfig(users, items, interactions, seed)), folder)
    click.echo(f"{files.items}\n{files.users}\n{files.interactions}")


@click.command("load", context_settings={"show_default": True})
@items_option
@users_option
@click.option("--interactions", type=FILE, help="CSV or Parquet file of interactions.")
@reading_options
@config_option
def load_command(
    config: Path, items: Path, users: Path, interactions: Path, **options: Any
) -> None:
    """Load files of items, users and interactions into the database.

    Give any of the three. Loading a file again changes nothing.
    """
    files = InputFiles(items, users, interactions)
    if not list(files.given()):
        raise click.UsageError("give at least one of --items, --users, --interactions")
    with show_progress() as progress:
        summary = load_files(workplace_of(config), files, LoadConfig(**options), progress)
    click.echo(load_report(summary))


@click.command("fit")
@config_option
@fit_settings_option
@click.option(
    "--step",
    type=click.Choice([*STEP_SETTINGS]),
    help="Run only this step. Default: run every step that is not done.",
)
@click.option("--fresh", is_flag=True, help="Discard the results of earlier runs first.")
@click.option(
    "--force", is_flag=True, help="Promote the new version even if the gate keeps it back."
)
@click.option("--address", help="Address of a Ray cluster. Default: start a local one.")
@click.option(
    "--every",
    metavar="PERIOD",
    help="Fit now, and again at every period, such as 30m, 6h or 1d. Failed fits are repeated at"
    " their next time. Default: fit once.",
)
def fit_command(config: Path, settings: Path, every: str | None, **options: Any) -> None:
    """Fit features, candidate tables and models, and publish them as a new version.

    The new version is served if it is not worse than the served one on the latest data.
    """
    fit_once = partial(_fit, config, settings, FitRun(**options))
    if every is None:
        fit_once()
    else:
        period_s = parse_period(every)
        fit_every(period_s, fit_once, click.echo, time.monotonic, Event().wait)


def _fit(config: Path, settings: Path, options: FitRun) -> None:
    workplace = workplace_of(config)
    with show_progress() as progress:
        manifest = fit_bundle(workplace, settings, progress, options, announce=click.echo)
    if manifest is not None:
        click.echo(describe_publication(workplace.bundles.root, manifest))
        click.echo(page(workplace.bundles.root, manifest.version, workplace.config.variants))
        ending = describe_ending(workplace.bundles.root, manifest)
        if ending is not None:
            click.echo(f"\n{ending}")


@click.command("migrate")
@config_option
def migrate_command(config: Path) -> None:
    """Create the tables of the database, or bring them up to date.

    The data stay. A service of the build before this one goes on meanwhile.
    """
    click.echo(migrate(workplace_of(config)))
