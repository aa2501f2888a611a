"""From files to a bundle: demo, load, fit, evaluate."""

import os
import time
from pathlib import Path
from typing import Any

import click

from serve_app.cli.options import (
    EXISTING_FILE,
    FiniteRange,
    config_option,
    fit_settings_option,
    workplace_of,
)
from serve_app.demo.demo_shop import DemoConfig, make_demo, write_demo
from serve_app.evaluation.evaluation_report import as_json, as_text
from serve_app.evaluation.evaluator import EvaluationConfig, evaluate
from serve_app.evaluation.protocol import ProtocolConfig
from serve_app.fitting.fit_config import STEP_SETTINGS
from serve_app.loading.load import InputFiles, LoadConfig
from serve_app.operations.evaluating import ours_config
from serve_app.operations.filling import FitRun, fit_bundle, load_files
from serve_app.operations.published import page
from serve_app.operations.terminal import load_report, progress_bars

_NEW_FILE = click.Path(dir_okay=False, path_type=Path)

max_rating_option = click.option(
    "--max-rating",
    type=FiniteRange(0, min_open=True),
    default=LoadConfig().max_rating,
    show_default=True,
    help="Ratings above it are bad rows.",
)


def _writable(_: click.Context, __: click.Parameter, file: Path | None) -> Path | None:
    """Told before the work, not after it; the file itself is made when there is something in it."""
    if file is not None and not os.access(file if file.exists() else file.parent, os.W_OK):
        raise click.BadParameter(f"{file} cannot be written")
    return file


@click.command("demo")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--users", default=2_000, show_default=True)
@click.option("--items", default=5_000, show_default=True)
@click.option("--interactions", default=100_000, show_default=True)
@click.option("--seed", default=7, show_default=True)
def demo_command(folder: Path, users: int, items: int, interactions: int, seed: int) -> None:
    """Write a simulated shop's files to FOLDER."""
    files = write_demo(make_demo(DemoConfig(users, items, interactions, seed)), folder)
    click.echo(f"{files.items}\n{files.users}\n{files.interactions}")


@click.command("load")
@click.option("--items", type=EXISTING_FILE, help="CSV or Parquet.")
@click.option("--users", type=EXISTING_FILE, help="CSV or Parquet.")
@click.option("--interactions", type=EXISTING_FILE, help="CSV or Parquet.")
@click.option(
    "--max-reject-share",
    default=LoadConfig().max_reject_share,
    show_default=True,
    help="Share of bad rows in a file above which nothing is loaded.",
)
@max_rating_option
@config_option
def load_command(
    items: Path | None,
    users: Path | None,
    interactions: Path | None,
    max_reject_share: float,
    max_rating: float,
    config: Path,
) -> None:
    """Load items, users and interactions, any of them; loading twice changes nothing."""
    files = InputFiles(items, users, interactions)
    if not list(files.given()):
        raise click.UsageError("give at least one of --items, --users, --interactions")
    if not 0 <= max_reject_share <= 1:
        raise click.BadParameter("must lie between 0 and 1", param_hint="--max-reject-share")
    with progress_bars() as progress:
        settings = LoadConfig(max_reject_share=max_reject_share, max_rating=max_rating)
        summary = load_files(workplace_of(config), files, settings, progress)
    click.echo(load_report(summary))


@click.command("fit")
@config_option
@fit_settings_option
@click.option("--step", type=click.Choice([*STEP_SETTINGS]), help="Run this step alone.")
@click.option("--fresh", is_flag=True, help="Do again what an earlier run has done.")
@click.option("--force", is_flag=True, help="Serve what comes out, whatever the gate says.")
@click.option("--address", help="Of a Ray cluster; without it one runs here meanwhile.")
def fit_command(config: Path, settings: Path, **how: Any) -> None:
    """Compute features and candidate tables, train the models, publish them as one bundle."""
    workplace = workplace_of(config)
    with progress_bars() as progress:
        manifest = fit_bundle(workplace, settings, progress, FitRun(**how), announce=click.echo)
    if manifest is not None:
        click.echo(f"published {manifest.version}")
        click.echo(page(workplace.bundles.root, manifest.version, workplace.config.variants))


def _lengths(_: click.Context, __: click.Parameter, given: str) -> tuple[int, ...]:
    return tuple(sorted({*map(click.IntRange(1), given.split(","))}))


@click.command("evaluate", context_settings={"show_default": True})
@click.option("--interactions", type=EXISTING_FILE, required=True, help="CSV or Parquet.")
@click.option("--items", type=EXISTING_FILE, help="CSV or Parquet.")
@click.option("--users", type=EXISTING_FILE, help="CSV or Parquet.")
@click.option("--test-share", type=FiniteRange(0.01, 0.9), default=0.2, help="The latest.")
@click.option("--days-earlier", type=FiniteRange(0), default=0.0, help="Move the test back.")
@click.option("--min-buyers", type=click.IntRange(1), default=5, help="Of the items ranked.")
@max_rating_option
@click.option("--repeats", is_flag=True, help="What a user had before counts as well.")
@click.option("--settings", type=EXISTING_FILE, help="What is learnt; else defaults.")
@click.option("--config", type=EXISTING_FILE, help="What is served; else defaults.")
@click.option("--k", "ks", default="10,20", callback=_lengths, help="Lengths of lists.")
@click.option(
    "--json", "json_file", type=_NEW_FILE, callback=_writable, help="Also write all figures."
)
def evaluate_command(
    repeats: bool,
    settings: Path | None,
    config: Path | None,
    ks: tuple[int, ...],
    json_file: Path | None,
    max_rating: float,
    **given: Any,
) -> None:
    """Compare what would be recommended with other models, on the future of any shop's files."""
    files = InputFiles(*(given.pop(kind) for kind in ("items", "users", "interactions")))
    ours = ours_config(config, settings, n_threads=os.cpu_count())
    label = ours.fit.label.model_copy(update={"repeats": repeats or ours.fit.label.repeats})
    chosen = EvaluationConfig(
        protocol=ProtocolConfig(label=label, **given),
        ks=ks,
        ours=ours,
        reading=LoadConfig(max_rating=max_rating),
    )
    with progress_bars() as progress:
        found = evaluate(files, chosen, progress, now_at=time.time(), clock=time.perf_counter)
    click.echo(as_text(found))
    if json_file is not None:
        json_file.write_text(as_json(found), encoding="utf-8")
