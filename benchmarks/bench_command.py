"""`python -m benchmarks`: measures, shows the tables, and writes them down."""

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
from serve_app.errors import OperatorError
from serve_app.operations.terminal import show_progress

RESULTS = ROOT / "benchmarks/RESULTS.md"
PLOTS = "plots"


@click.command()
@click.option(
    "--only", multiple=True, type=click.Choice(PARTS), help="This part alone; repeatable."
)
@click.option("--full", is_flag=True, help="Longer runs, more turns; hours instead of minutes.")
@click.option("--rounds", type=int, help="Turns of each service.")
@click.option("--connections", type=int, multiple=True, help="Of the closed loops; repeatable.")
@click.option("--home", type=click.Path(path_type=Path), default=ROOT / ".bench/shop")
@click.option(
    "--out", type=click.Path(path_type=Path), help=f"Default: {RESULTS.name}, unless --only."
)
def main(
    only: tuple[str, ...],
    full: bool,
    rounds: int | None,
    connections: tuple[int, ...],
    home: Path,
    out: Path | None,
) -> None:
    """Measure recserve against the usual service, a naive graph and an empty one."""
    settings, default = (FULL, PARTS) if full else (QUICK, QUICK_PARTS)
    plan = settings.closed
    plan = replace(plan, rounds=rounds or plan.rounds, connections=connections or plan.connections)
    target = out or (None if only else RESULTS)
    plots = target and target.parent / PLOTS
    try:
        told = list(_head())
        # Shown as they are found: the whole takes long, and may be ended before.
        for section in _measure(home, only or default, replace(settings, closed=plan), plots):
            click.echo(f"\n{section}")
            told.append(str(section))
    except (BenchmarkFailed, OperatorError) as error:
        raise click.ClickException(str(error)) from error
    if target is not None:
        target.write_text("\n\n".join(told) + "\n", "utf-8")


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
