"""Defines ``python -m benchmarks.quality``: evaluates, prints the page and writes it."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from benchmarks.home import ROOT
from benchmarks.machine import command_of, facts
from benchmarks.quality.goals import Documents, goals_of
from benchmarks.quality.quality_page import sections
from benchmarks.quality.quality_plot import plot_quality
from benchmarks.quality.runs import OF_DEMO, OF_ESHOP, OF_FUNNEL, RUNS, Plan, run
from serve_app.cli.progress import show_progress
from serve_app.errors import RecserveError

RESULTS = ROOT / "benchmarks/QUALITY.md"
PLOT = "plots/quality.png"
RETAIL = ROOT.parent / "shared/data/online_retail.parquet"
ESHOP = ROOT.parent / "shared/data/eshop_clicks_spring.parquet"
_PACKAGES = ("numpy", "scipy", "xgboost-cpu", "implicit")
_PATH = click.Path(path_type=Path)
_LEFT_OUT = (
    "{} left out: its {} was not found. Pass it with {} (see benchmarks/datasets/README.md)."
)


@click.command(context_settings={"show_default": True})
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(RUNS),
    help="Run only this one; repeatable. Default: all.",
)
@click.option(
    "--retail",
    type=_PATH,
    help="Published table of Online Retail; see benchmarks/datasets/README.md.",
)
@click.option(
    "--eshop",
    type=_PATH,
    help="Published clicks of a shop of anonymous visitors; see benchmarks/datasets/README.md.",
)
@click.option(
    "--points", type=click.IntRange(1), default=60, help="Most points tried of each rival's grid."
)
@click.option(
    "--work",
    type=_PATH,
    default=ROOT / ".bench/quality",
    help="Folder that keeps data and results of earlier runs.",
)
@click.option(
    "--out",
    type=_PATH,
    help=f"File of the page. Default: {RESULTS.name} if all runs are run, else none.",
)
def main(
    only: tuple[str, ...],
    retail: Path | None,
    eshop: Path | None,
    points: int,
    work: Path,
    out: Path | None,
) -> None:
    """Compare recserve's lists with other models on published and on simulated shops."""
    plan = Plan(work, retail or RETAIL, eshop or ESHOP, points)
    # A file that was asked for and is missing is an error.
    names, missing = _possible(only or RUNS, retail or RETAIL.is_file(), eshop or ESHOP.is_file())
    try:
        with show_progress() as progress:
            runs = {name: run(name, plan, progress) for name in names}
    except RecserveError as error:
        raise click.ClickException(str(error)) from error
    target = out or (None if only else RESULTS)
    text = _text(runs, missing, has_plot=target is not None and _plot(runs, target))
    click.echo(text)
    if target is not None:
        target.write_text(text, "utf-8")
        target.with_suffix(".json").write_text(_json(runs), "utf-8")


def _possible(
    names: Sequence[str], retail: Path | bool, eshop: Path | bool
) -> tuple[Sequence[str], Sequence[str]]:
    """Runs that are possible, and a sentence about each table that is missing."""
    missing = []
    if not retail:
        names = [name for name in names if name in (*OF_ESHOP, *OF_DEMO, *OF_FUNNEL)]
        missing.append(_LEFT_OUT.format("Online Retail is", "table", "--retail"))
    if not eshop:
        names = [name for name in names if name not in OF_ESHOP]
        missing.append(_LEFT_OUT.format("The shop of clicks is", "file", "--eshop"))
    return names, missing


def _plot(runs: Documents, target: Path) -> bool:
    return plot_quality(runs, target.parent / PLOT)


def _text(runs: Documents, missing: Sequence[str], *, has_plot: bool) -> str:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    command = command_of("benchmarks.quality", sys.argv[1:])
    head = ["# Quality", f"{now} · `{command}` · {facts(_PACKAGES)}", *missing]
    if has_plot:
        head.append(f"![NDCG@10 of each model]({PLOT})")
    return "\n\n".join([*head, *map(str, sections(runs, goals_of(runs)))]) + "\n"


def _json(runs: Documents) -> str:
    document = {"goals": [asdict(goal) for goal in goals_of(runs)], "runs": dict(runs)}
    return json.dumps(document, indent=1, ensure_ascii=False)
