"""Defines the verbs that lead from files to a published version: demo, load, fit, evaluate."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import click

from serve_app.cli.options import (
    FILE,
    FiniteRange,
    config_option,
    fit_settings_option,
    workplace_of,
)
from serve_app.cli.progress import show_progress
from serve_app.demo.demo_shop import DemoConfig, demo_files, make_demo, write_demo
from serve_app.errors import SettingsInvalid
from serve_app.evaluation.evaluation_report import as_json, as_text
from serve_app.evaluation.evaluator import MAX_K, EvaluationConfig, evaluate
from serve_app.evaluation.protocol import ProtocolConfig
from serve_app.fitting.fit_config import STEP_SETTINGS
from serve_app.loading.load import ATTRIBUTE_KINDS, InputFiles, LoadConfig
from serve_app.operations.fits.fit_bundle import FitRun, fit_bundle
from serve_app.operations.fits.fit_settings import ours_config
from serve_app.operations.fits.repeated_fits import fit_every, parse_period
from serve_app.operations.load_shop import load_files, load_report
from serve_app.operations.migrate_shop import migrate
from serve_app.operations.versions import describe_publication, page

items_option = click.option("--items", type=FILE, help="CSV or Parquet file of items.")
users_option = click.option("--users", type=FILE, help="CSV or Parquet file of users.")


def _check_writable(_: click.Context, __: click.Parameter, file: Path | None) -> Path | None:
    # Checked before the work, which takes minutes. The file is made only when there are results.
    if file is not None and not os.access(file if file.exists() else file.parent, os.W_OK):
        raise click.BadParameter(f"{file} cannot be written")
    return file


def _parse_kinds(_: click.Context, __: click.Parameter, texts: Sequence[str]) -> Mapping[str, str]:
    """Parses ``items.size=text`` and its like."""
    chosen = {}
    for text in texts:
        name, _equals, kind = text.rpartition("=")
        if kind not in ATTRIBUTE_KINDS or not name.startswith(("items.", "users.")):
            kinds = ", ".join(ATTRIBUTE_KINDS)
            raise click.BadParameter(
                f"{text!r} is not of the form items.size=KIND, KIND of {kinds}"
            )
        chosen[name] = kind
    return chosen


_READING = {
    "max_reject_share": click.option(
        "--max-reject-share",
        type=FiniteRange(0, 1),
        default=LoadConfig().max_reject_share,
        help="Largest share of bad rows in a file, from 0 to 1. Above it, nothing is loaded.",
    ),
    "max_rating": click.option(
        "--max-rating",
        type=FiniteRange(0, min_open=True),
        default=LoadConfig().max_rating,
        help="Highest rating of the scale. Rows with a higher one are rejected.",
    ),
    "event_id": click.option(
        "--event-id",
        type=click.Choice(["event", "order"]),
        default=LoadConfig().event_id,
        help="What event_id identifies: one interaction, or an order of several lines.",
    ),
    "attributes": click.option(
        "--attribute",
        "attributes",
        multiple=True,
        callback=_parse_kinds,
        metavar="items.NAME=KIND",
        help="Kind of an attribute: number, flag, list or text. Stored values are converted.",
    ),
}
"""Options of every verb that reads a shop's files: messages about bad rows name them."""


def reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that say how files are read."""
    for option in reversed(_READING.values()):
        command = option(command)
    return command


def _parse_lengths(_: click.Context, __: click.Parameter, text: str) -> tuple[int, ...]:
    return tuple(sorted({*map(click.IntRange(1, MAX_K), text.split(","))}))


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


@click.command("migrate")
@config_option
def migrate_command(config: Path) -> None:
    """Create the tables of the database, or bring them up to date.

    The data stay. A service of the build before this one goes on meanwhile.
    """
    click.echo(migrate(workplace_of(config)))


@click.command("evaluate", context_settings={"show_default": True})
@click.option(
    "--interactions", type=FILE, required=True, help="CSV or Parquet file of interactions."
)
@items_option
@users_option
@click.option(
    "--test-share",
    type=FiniteRange(0.01, 0.9),
    default=0.2,
    help="Share of the latest interactions used as the test set.",
)
@click.option(
    "--days-earlier",
    type=FiniteRange(0),
    default=0.0,
    help="Days by which the test period is moved into the past.",
)
@click.option(
    "--min-buyers",
    type=click.IntRange(1),
    default=5,
    help="Fewest users who interacted with an item before the test period. Others are not ranked.",
)
@reading_options
@click.option(
    "--repeats", is_flag=True, help="Count interactions with items that the user already had."
)
@click.option("--settings", type=FILE, help="Settings file of the fit. Default: default settings.")
@click.option(
    "--config", type=FILE, help="Configuration file of the application. Default: default settings."
)
@click.option(
    "--k",
    "ks",
    default="10,20",
    callback=_parse_lengths,
    help=f"Lengths of the measured lists, at most {MAX_K}, separated by commas.",
)
@click.option(
    "--json",
    "json_file",
    type=FILE,
    callback=_check_writable,
    help="File to which all measures are written as JSON.",
)
def evaluate_command(repeats: bool, json_file: Path | None, **options: Any) -> None:
    """Compare the recommendations with those of other models on past data.

    Every model learns from the interactions before the test period and is measured on those within
    it. No database is needed: the files may be those of any shop.
    """
    files = InputFiles(*(options.pop(kind) for kind in ("items", "users", "interactions")))
    ours = ours_config(options.pop("config"), options.pop("settings"), n_threads=os.cpu_count())
    reading = LoadConfig(**{name: options.pop(name) for name in _READING})
    label = ours.fit.label.model_copy(update={"repeats": repeats or ours.fit.label.repeats})
    chosen = EvaluationConfig(
        ks=options.pop("ks"),
        ours=ours,
        reading=reading,
        protocol=ProtocolConfig(label=label, **options),
    )
    with show_progress() as progress:
        result = evaluate(files, chosen, progress, now_at=time.time(), clock=time.perf_counter)
    click.echo(as_text(result))
    if json_file is not None:
        json_file.write_text(as_json(result), encoding="utf-8")
