"""Defines `python -m benchmarks`: measures, prints the tables and writes them."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from benchmarks.closed_plots import plot_closed
from benchmarks.home import ROOT, Home, make_shop, open_home, workplace_in
from benchmarks.machine import command_of, facts, shop_facts
from benchmarks.markdown import Section
from benchmarks.parts import (
    CLOSED,
    FULL,
    OTHERS,
    PARTS,
    QUICK,
    QUICK_PARTS,
    Progress,
    Settings,
    closed_part,
)
from benchmarks.stopping import BenchmarkFailed
from serve_app.cli.progress import show_progress
from serve_app.errors import OperatorError

RESULTS = ROOT / "benchmarks/RESULTS.md"
PLOTS = "plots"


@click.command(context_settings={"show_default": True})
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(PARTS),
    help='Measure only this part; repeatable. Default: all ("batches" only with --full).',
)
@click.option("--full", is_flag=True, help="Longer runs and more turns: hours, not minutes.")
@click.option(
    "--rounds",
    type=int,
    help="Turns of each service in the closed loops. Default: 2, or 5 with --full.",
)
@click.option(
    "--connections",
    type=int,
    multiple=True,
    help="Connections of the closed loops; repeatable. Default: 1, 16, 64, 128.",
)
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    default=ROOT / ".bench/shop",
    help="Folder that keeps the measured shop and its stores.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help=f"File of the tables. Default: {RESULTS.name} without --only, else none.",
)
def main(
    only: tuple[str, ...],
    full: bool,
    rounds: int | None,
    connections: tuple[int, ...],
    home: Path,
    out: Path | None,
) -> None:
    """Compare the speed of recserve with a conventional service and with simpler graphs.

    seed: a conventional service in one process. naive: recserve's stages on Ray's defaults.
    empty: recserve's hops without work. ours, one: recserve as a graph and in one process. open:
    requests at fixed rates. growth: more items, users, candidates and replicas. batches: settings
    of the batches. features: item features alone. profile: CPU time by function.
    """
    settings, default = (FULL, PARTS) if full else (QUICK, QUICK_PARTS)
    plan = settings.closed
    plan = replace(plan, rounds=rounds or plan.rounds, connections=connections or plan.connections)
    target = out or (None if only else RESULTS)
    plots = target and target.parent / PLOTS
    try:
        texts = list(_head())
        # Each section is printed when it is measured: a run may be interrupted.
        for section in _measure(home, only or default, replace(settings, closed=plan), plots):
            click.echo(f"\n{section}")
            texts.append(str(section))
    except (BenchmarkFailed, OperatorError) as error:
        raise click.ClickException(str(error)) from error
    if target is not None:
        target.write_text("\n\n".join(texts) + "\n", "utf-8")


def _measure(
    folder: Path, parts: Sequence[str], settings: Settings, plots: Path | None
) -> Iterator[Section]:
    folder.mkdir(parents=True, exist_ok=True)
    workplace = workplace_in(folder)
    with show_progress() as progress, workplace.stores() as urls:
        make_shop(workplace, progress)
        home = open_home(folder, urls, workplace)
        yield from _sections(home, parts, settings, plots, progress)


def _sections(
    home: Home, parts: Sequence[str], settings: Settings, plots: Path | None, progress: Progress
) -> Iterator[Section]:
    if closed := [part for part in parts if part in CLOSED]:
        section, done = closed_part(home, settings, progress, closed)
        if plots is not None:
            plot_closed(done, plots)
        yield section
    for part in parts:
        if part in OTHERS:
            yield OTHERS[part](home, settings, progress)


def _head() -> list[str]:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    command = command_of("benchmarks", sys.argv[1:])
    return ["# Results", f"{now} · `{command}` · {facts()} · {shop_facts()}"]
