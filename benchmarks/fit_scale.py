"""Measures time and memory of a fit as a simulated shop grows: `-m benchmarks.fit_scale`."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.home import CONFIG, ROOT, workplace_in
from benchmarks.machine import facts
from benchmarks.markdown import Section, Table
from benchmarks.stopping import BenchmarkFailed, exit_on_sigterm
from serve_app.cli.progress import show_progress
from serve_app.database.fit_input import holds_items
from serve_app.database.schema import ensure_schema
from serve_app.demo.demo_shop import DemoConfig, make_demo, write_demo
from serve_app.fitting.fit_config import STEP_SETTINGS
from serve_app.fitting.workspace.step_folders import Done, Workspace
from serve_app.loading.load import InputFiles, LoadConfig
from serve_app.operations.load_shop import load_files

RESULTS = ROOT / "benchmarks/FIT.md"

N_ITEMS = {100_000: 5_000, 1_000_000: 20_000, 10_000_000: 50_000}
"""By number of interactions; users have fifty interactions each on average."""

_PER_USER = 50


@dataclass(frozen=True, slots=True)
class Measured:
    """
    Attributes:
        load_s: duration of loading the files into PostgreSQL; 0 if they were loaded before.
        steps: duration and memory by step.
    """

    n_interactions: int
    n_items: int
    load_s: float
    steps: dict[str, Done]


@click.command()
@click.option(
    "--size",
    "sizes",
    type=click.Choice(N_ITEMS),
    multiple=True,
    help="Interactions of a shop; repeatable. Default: all three.",
)
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    default=ROOT / ".bench/fit",
    help="Folder that keeps the shops.",
)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, help="File of the page.")
def main(sizes: tuple[int, ...], home: Path, out: Path) -> None:
    """Measure `recserve fit` on simulated shops of growing size, each in its own process."""
    try:
        measured = [measure(n, home / str(n)) for n in sizes or tuple(N_ITEMS)]
    except BenchmarkFailed as error:
        raise click.ClickException(str(error)) from error
    text = "\n\n".join(["# Time and memory of a fit", facts(), str(section(measured))]) + "\n"
    click.echo(text)
    out.write_text(text)


def measure(n_interactions: int, home: Path) -> Measured:
    """Make and load the shop unless that was done before, and fit it from the first step."""
    home.mkdir(parents=True, exist_ok=True)
    workplace = workplace_in(home)
    with show_progress() as progress, workplace.stores():
        with workplace.database() as conn:
            ensure_schema(conn)
            is_loaded = holds_items(conn)
        start_s = time.perf_counter()
        if not is_loaded:
            config = DemoConfig(
                n_interactions // _PER_USER, N_ITEMS[n_interactions], n_interactions
            )
            made = write_demo(make_demo(config), home / "demo")
            start_s = time.perf_counter()
            files = InputFiles(made.items, made.users, made.interactions)
            load_files(workplace, files, LoadConfig(), progress)
        load_s = 0.0 if is_loaded else time.perf_counter() - start_s
        _fit(home)
    work = Workspace(home / "fit")
    done = {step: work.done(step) for step in STEP_SETTINGS}
    steps = {step: each for step, each in done.items() if each is not None}
    return Measured(n_interactions, N_ITEMS[n_interactions], load_s, steps)


def section(measured: list[Measured]) -> Section:
    columns = ["step", *(f"{each.n_interactions:,}" for each in measured)]
    rows = [["items", *(f"{each.n_items:,}" for each in measured)]]
    rows.append(["load", *(f"{each.load_s:.1f} s" if each.load_s else "" for each in measured)])
    rows += [[step, *(_cell(each.steps[step]) for each in measured)] for step in STEP_SETTINGS]
    totals = [sum(step.seconds for step in each.steps.values()) for each in measured]
    peaks = [max(step.peak_bytes for step in each.steps.values()) for each in measured]
    rows.append(
        ["all steps", *(f"{s:.1f} s, {b / 1e9:.2f} GB" for s, b in zip(totals, peaks, strict=True))]
    )
    explained = (
        "Seconds, and peak memory of all processes of the fit together, by number of interactions."
        " Shared pages count once; PostgreSQL and Redis do not count."
    )
    return Section("Time and memory by step", [explained, Table(columns, rows)])


def _cell(done: Done) -> str:
    return f"{done.seconds:.1f} s, {done.peak_bytes / 1e9:.2f} GB"


def _fit(home: Path) -> None:
    command = [sys.executable, "-m", "serve_app.cli.main", "fit", "--fresh", f"--config={CONFIG}"]
    environment = {**os.environ, "RECSERVE_HOME": str(home)}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if done.returncode:
        raise BenchmarkFailed(f"`recserve fit` ended with {done.returncode}")


if __name__ == "__main__":
    exit_on_sigterm()
    main(prog_name="python -m benchmarks.fit_scale")
