"""`python -m benchmarks`: measures, shows the tables, and writes them down."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from benchmarks.errors import BenchmarkFailed
from benchmarks.home import ROOT, Home, make_shop, open_home, workplace_in
from benchmarks.machine import command_of, facts, shop_facts
from benchmarks.parts import CLOSED, FULL, OTHERS, PARTS, QUICK, Progress, Settings, closed_part
from benchmarks.plots import plot_closed
from benchmarks.tables import Section
from serve_app.errors import OperatorError
from serve_app.operations.terminal import progress_bars

RESULTS = ROOT / "benchmarks/RESULTS.md"
PLOTS = ROOT / "benchmarks/plots"


@click.command()
@click.option(
    "--only", multiple=True, type=click.Choice(PARTS), help="This part alone; repeatable."
)
@click.option("--full", is_flag=True, help="Longer runs, more turns; hours instead of minutes.")
@click.option("--rounds", type=int, help="Turns of each service.")
@click.option("--connections", type=int, multiple=True, help="Of the closed loops; repeatable.")
@click.option("--home", type=click.Path(path_type=Path), default=ROOT / ".bench/shop")
@click.option(
    "--out", type=click.Path(path_type=Path), help=f"Default: {RESULTS.name}, for all parts."
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
    settings = FULL if full else QUICK
    plan = settings.closed
    plan = replace(plan, rounds=rounds or plan.rounds, connections=connections or plan.connections)
    try:
        sections = _measure(home, only or PARTS, replace(settings, closed=plan))
    except (BenchmarkFailed, OperatorError) as error:
        raise click.ClickException(str(error)) from error
    text = "\n\n".join([*_head(), *map(str, sections)]) + "\n"
    click.echo(text)
    if out or not only:
        (out or RESULTS).write_text(text)


def _measure(folder: Path, parts: Sequence[str], settings: Settings) -> list[Section]:
    folder.mkdir(parents=True, exist_ok=True)
    workplace = workplace_in(folder)
    with progress_bars() as progress, workplace.stores() as urls:
        make_shop(workplace, progress)
        home = open_home(folder, urls, workplace)
        return _sections(home, parts, settings, progress)


def _sections(
    home: Home, parts: Sequence[str], settings: Settings, progress: Progress
) -> list[Section]:
    sections = []
    if closed := [part for part in parts if part in CLOSED]:
        section, done = closed_part(home, settings, progress, closed)
        sections.append(section)
        plot_closed(done, PLOTS)
    for part in parts:
        if part in OTHERS:
            sections.append(OTHERS[part](home, settings, progress))
    return sections


def _head() -> list[str]:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    command = command_of("benchmarks", sys.argv[1:])
    return ["# Results", f"{now} · `{command}` · {facts()} · {shop_facts()}"]
