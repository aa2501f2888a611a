"""Defines the verb that compares the recommendations with those of other models: evaluate."""

import os
import time
from pathlib import Path
from typing import Any

import click

from serve_app.cli.options import FILE, FiniteRange
from serve_app.cli.progress import show_progress
from serve_app.cli.reading_options import READING, items_option, reading_options, users_option
from serve_app.evaluation.evaluation_report import as_json, as_text
from serve_app.evaluation.evaluator import MAX_K, EvaluationConfig, evaluate
from serve_app.evaluation.protocol import ProtocolConfig
from serve_app.fitting.run import Progress
from serve_app.loading.load import InputFiles, LoadConfig
from serve_app.next_items.next_evaluator import NextConfig, evaluate_next
from serve_app.next_items.next_protocol import NextProtocolConfig
from serve_app.next_items.next_report import next_json, next_text
from serve_app.operations.fits.fit_settings import ours_config


def _check_writable(_: click.Context, __: click.Parameter, file: Path | None) -> Path | None:
    # Checked before the work, which takes minutes. The file is made only when there are results.
    if file is not None and not os.access(file if file.exists() else file.parent, os.W_OK):
        raise click.BadParameter(f"{file} cannot be written")
    return file


_OF_NEXT = ("new", "at_session_start", "session_gap_minutes")
"""Options that go with ``--next`` only; empty where users do not give them."""


def _parse_lengths(_: click.Context, __: click.Parameter, text: str) -> tuple[int, ...]:
    return tuple(sorted({*map(click.IntRange(1, MAX_K), text.split(","))}))


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
    help="Share of the latest interactions used as the test set; with --next, of the latest"
    " sessions.",
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
@click.option(
    "--next",
    "is_next",
    is_flag=True,
    help="Predict every next event of the latest sessions from the events before it.",
)
@click.option(
    "--at-session-start",
    is_flag=True,
    help="With --next: ask once, when a session begins, for the items of the whole session.",
)
@click.option("--new", is_flag=True, help="With --next: predict items new to the user only.")
@click.option(
    "--session-gap-minutes",
    type=FiniteRange(0, min_open=True),
    help="With --next: a longer pause ends a session of the test. recserve itself takes"
    " 30 minutes."
    f"  [default: {NextProtocolConfig().session_gap_minutes:g}]",
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
def evaluate_command(is_next: bool, json_file: Path | None, **options: Any) -> None:
    """Compare the recommendations with those of other models on past data.

    Every model learns from the interactions before the test period and is measured on those within
    it. No database is needed: the files may be those of any shop.
    """
    of_next = {name: options.pop(name) for name in _OF_NEXT}
    given = [name for name, value in of_next.items() if value]
    if given and not is_next:
        raise click.UsageError(f"--{given[0].replace('_', '-')} goes with --next")
    if is_next and options["repeats"]:
        raise click.UsageError("--repeats does not go with --next, which counts them unless --new")
    files = InputFiles(*(options.pop(kind) for kind in ("items", "users", "interactions")))
    ours = ours_config(options.pop("config"), options.pop("settings"), n_threads=os.cpu_count())
    reading = LoadConfig(**{name: options.pop(name) for name in READING})
    shared = {"ks": options.pop("ks"), "ours": ours, "reading": reading}
    repeats = options.pop("repeats") or ours.fit.label.repeats
    with show_progress() as progress:
        if is_next:
            label = ours.fit.label.model_copy(update={"repeats": not of_next.pop("new")})
            chosen = options | {name: value for name, value in of_next.items() if value}
            config = NextConfig(protocol=NextProtocolConfig(label=label, **chosen), **shared)
            texts = _evaluate_next(files, config, progress)
        else:
            label = ours.fit.label.model_copy(update={"repeats": repeats})
            protocol = ProtocolConfig(label=label, **options)
            texts = _evaluate(files, EvaluationConfig(protocol=protocol, **shared), progress)
    click.echo(texts[0])
    if json_file is not None:
        json_file.write_text(texts[1], encoding="utf-8")


def _evaluate(files: InputFiles, config: EvaluationConfig, progress: Progress) -> tuple[str, str]:
    result = evaluate(files, config, progress, now_at=time.time(), clock=time.perf_counter)
    return as_text(result), as_json(result)


def _evaluate_next(files: InputFiles, config: NextConfig, progress: Progress) -> tuple[str, str]:
    result = evaluate_next(files, config, progress, now_at=time.time(), clock=time.perf_counter)
    return next_text(result), next_json(result)
