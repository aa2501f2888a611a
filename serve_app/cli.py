"""The ``recserve`` command. Each verb parses, calls one function and prints."""

import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import click
import requests

from serve_app.errors import RecserveError
from serve_app.offline.demo import DemoConfig, make_demo, write_demo
from serve_app.offline.evaluation.evaluate import EvaluationConfig, evaluate
from serve_app.offline.evaluation.protocol import ProtocolConfig
from serve_app.offline.evaluation.report import as_json, as_text
from serve_app.offline.load import LoadConfig, LoadFiles
from serve_app.operations.checking import all_checks
from serve_app.operations.doctor import Outcome, format_results, run_checks
from serve_app.operations.environment import child_environment, needed_ports, parse_env_file
from serve_app.operations.evaluating import ours_config
from serve_app.operations.filling import (
    fill_when_empty,
    fit_bundle,
    load_files,
    somebody,
)
from serve_app.operations.ports import ensure_free
from serve_app.operations.rest import ServeClient, ray_token
from serve_app.operations.run import (
    Service,
    deploy_failure,
    ready_message,
    run_service,
    serve_run,
)
from serve_app.operations.scale import scale
from serve_app.operations.status import status
from serve_app.operations.terminal import load_report, progress_bars
from serve_app.operations.workplace import Workplace, open_workplace, use_cache
from serve_app.stores.bundle import current_version, open_bundle, versions
from serve_app.stores.bundle_publishing import promote as promote_version
from serve_app.stores.telemetry_windows import read_windows

DASHBOARD = "http://127.0.0.1:8265"
N_MINUTES = 5

_ExistingFile = click.Path(dir_okay=False, path_type=Path)
_TEXT = click.File("w", encoding="utf-8", lazy=False)
_config = click.option(
    "--config",
    "config",
    type=_ExistingFile,
    default=Path("serve_config.yaml"),
    show_default=True,
    help="Configuration of the application.",
)
_fit_settings = click.option(
    "--settings",
    type=_ExistingFile,
    default=Path("configs/fit.yaml"),
    show_default=True,
    help="What is learnt.",
)
_dashboard = click.option(
    "--dashboard", default=DASHBOARD, show_default=True, help="Address of Ray's dashboard."
)


def main() -> None:
    """Entry point: an anticipated error ends in one sentence, not in a traceback."""
    try:
        commands(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except RecserveError as error:
        click.echo(f"recserve: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        # A file or folder that cannot be written; whatever names no file is not anticipated.
        if error.filename is None:
            raise
        click.echo(f"recserve: {error.filename}: {error.strerror}", err=True)
        sys.exit(1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Recommendations that answer always: load, fit, serve, operate.

    Stores are taken from DATABASE_URL and REDIS_URL; without them a PostgreSQL and a Redis of its
    own run in RECSERVE_HOME (default: .recserve).
    """


@commands.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--users", default=2_000, show_default=True)
@click.option("--items", default=5_000, show_default=True)
@click.option("--interactions", default=100_000, show_default=True)
@click.option("--seed", default=7, show_default=True)
def demo(folder: Path, users: int, items: int, interactions: int, seed: int) -> None:
    """Write a simulated shop's files to FOLDER."""
    files = write_demo(make_demo(DemoConfig(users, items, interactions, seed)), folder)
    click.echo(f"{files.items}\n{files.users}\n{files.interactions}")


@commands.command()
@click.option("--items", type=_ExistingFile, help="CSV or Parquet.")
@click.option("--users", type=_ExistingFile, help="CSV or Parquet.")
@click.option("--interactions", type=_ExistingFile, help="CSV or Parquet.")
@click.option(
    "--max-reject-share",
    default=LoadConfig().max_reject_share,
    show_default=True,
    help="Share of bad rows in a file above which nothing is loaded.",
)
@_config
def load(
    items: Path | None,
    users: Path | None,
    interactions: Path | None,
    max_reject_share: float,
    config: Path,
) -> None:
    """Load items, users and interactions, any of them; loading twice changes nothing."""
    files = LoadFiles(items, users, interactions)
    if not list(files.given()):
        raise click.UsageError("give at least one of --items, --users, --interactions")
    if not 0 <= max_reject_share <= 1:
        raise click.BadParameter("must lie between 0 and 1", param_hint="--max-reject-share")
    with progress_bars() as progress:
        settings = LoadConfig(max_reject_share=max_reject_share)
        summary = load_files(_workplace(config), files, settings, progress)
    click.echo(load_report(summary))


@commands.command()
@_config
@_fit_settings
def fit(config: Path, settings: Path) -> None:
    """Compute features and candidate tables, train the models, publish them as one bundle."""
    with progress_bars() as progress:
        manifest = fit_bundle(_workplace(config), settings, progress, announce=click.echo)
    if manifest is None:
        return
    click.echo(f"published {manifest.version}: {manifest.n_items} items, {manifest.n_users} users")
    measured = {**manifest.metrics, **{name: m.metrics for name, m in manifest.models.items()}}
    for name, metrics in measured.items():
        figures = "  ".join(f"{metric} {value:.4f}" for metric, value in metrics.items())
        click.echo(f"  {name:<22} {figures}")


def _lengths(_: click.Context, __: click.Parameter, given: str) -> tuple[int, ...]:
    return tuple(sorted({*map(click.IntRange(1), given.split(","))}))


@commands.command("evaluate", context_settings={"show_default": True})
@click.option("--interactions", type=_ExistingFile, required=True, help="CSV or Parquet.")
@click.option("--items", type=_ExistingFile, help="CSV or Parquet.")
@click.option("--users", type=_ExistingFile, help="CSV or Parquet.")
@click.option("--test-share", type=click.FloatRange(0.01, 0.9), default=0.2, help="The latest.")
@click.option("--days-earlier", type=click.FloatRange(0), default=0.0, help="Move the test back.")
@click.option("--min-buyers", type=click.IntRange(1), default=5, help="Of the items ranked.")
@click.option("--repeats", is_flag=True, help="What a user had before counts as well.")
@click.option("--settings", type=_ExistingFile, help="What is learnt; else defaults.")
@click.option("--config", type=_ExistingFile, help="What is served; else defaults.")
@click.option("--k", "ks", default="10,20", callback=_lengths, help="Lengths of lists.")
@click.option("--json", "json_file", type=_TEXT, help="Also write all figures here.")
def evaluate_command(
    repeats: bool,
    settings: Path | None,
    config: Path | None,
    ks: tuple[int, ...],
    json_file: TextIO | None,
    **given: Any,
) -> None:
    """Compare what would be recommended with other models, on the future of any shop's files."""
    files = LoadFiles(*(given.pop(kind) for kind in ("items", "users", "interactions")))
    ours = ours_config(config, settings)
    label = ours.fit.label.model_copy(update={"repeats": repeats or ours.fit.label.repeats})
    chosen = EvaluationConfig(protocol=ProtocolConfig(label=label, **given), ks=ks, ours=ours)
    with progress_bars() as progress:
        found = evaluate(files, chosen, progress, now_at=time.time(), clock=time.perf_counter)
    click.echo(as_text(found))
    if json_file is not None:
        json_file.write(as_json(found))


@commands.command()
@_config
@click.option("--promote", metavar="VERSION", help="Serve this version; an older one rolls back.")
def models(config: Path, promote: str | None) -> None:
    """List what is published, the one that is served marked; or serve another."""
    bundles = _workplace(config).bundles
    if promote is not None:
        promote_version(bundles.root, promote)
    current = current_version(bundles.root)
    for version in versions(bundles.root):
        manifest = open_bundle(bundles.root, version, cache_dir=bundles.cache_dir).manifest
        figures = (
            f"{name} {model.metrics.get('ndcg_at_10', float('nan')):.4f}"
            for name, model in manifest.models.items()
        )
        mark = "*" if version == current else " "
        click.echo(f"{mark} {version}  {manifest.n_items} items  ndcg@10: {', '.join(figures)}")


@commands.command()
@_config
@_fit_settings
@click.option(
    "--profile",
    type=_ExistingFile,
    default=Path("configs/fast.env"),
    show_default=True,
    help="RAY_SERVE_* variables for Ray's start.",
)
def run(config: Path, settings: Path, profile: Path) -> None:
    """Serve on this machine until Ctrl-C; fills an empty store with a demo shop first."""
    workplace = _workplace(config)
    environment = child_environment(os.environ, parse_env_file(profile))
    environment["RECSERVE_HOME"] = str(workplace.location.home)
    base_url = f"http://127.0.0.1:{workplace.port}"
    ports = needed_ports(workplace.port, environment)
    for port, purpose in ports.items():
        ensure_free(port, purpose)  # before minutes are spent on data
    with workplace.stores():
        with progress_bars() as progress:
            fill_when_empty(workplace, settings, click.echo, progress)
        click.echo("starting Ray Serve")
        service = Service(
            command=serve_run(config),
            environment=environment,
            ready_url=f"{base_url}/ready",
            log=workplace.location.home / "serve.log",
            failure=lambda: deploy_failure(_client(DASHBOARD)),
        )
        code = run_service(
            service,
            ports=ports,
            ready=ready_message(base_url, somebody(workplace)),
            announce=click.echo,
        )
    sys.exit(code)


@commands.command()
@_config
def doctor(config: Path) -> None:
    """Check that everything is in place, and say what to do where it is not."""
    results = run_checks(all_checks(_workplace(config), os.environ))
    click.echo(format_results(results))
    if any(result.outcome is Outcome.FAIL for result in results):
        sys.exit(1)


@commands.command("scale")
@click.argument("deployment")
@click.option("--min", "min_replicas", type=int, help="Fewest replicas.")
@click.option("--max", "max_replicas", type=int, help="Most replicas.")
@_dashboard
def scale_command(
    deployment: str, min_replicas: int | None, max_replicas: int | None, dashboard: str
) -> None:
    """Change how many replicas DEPLOYMENT may have; nothing else restarts."""
    if min_replicas is None and max_replicas is None:
        raise click.UsageError("give --min, --max or both")
    report = scale(
        _client(dashboard), deployment, min_replicas=min_replicas, max_replicas=max_replicas
    )
    for when, replicas in (("before", report.before), ("after", report.after)):
        click.echo(
            f"{when:<7} {report.deployment}: {replicas.n_running} running,"
            f" bounds {replicas.n_min}–{replicas.n_max}"
        )


@commands.command("status")
@_config
@_dashboard
def status_command(config: Path, dashboard: str) -> None:
    """Replicas, models, request rates and latencies of the last minutes."""
    workplace = _workplace(config)
    now_s = time.time()
    with workplace.stores() as urls:
        windows = use_cache(urls.redis, lambda cache: read_windows(cache, now_s, N_MINUTES))
    health = _health(f"http://127.0.0.1:{workplace.port}/health")
    click.echo(status(_client(dashboard), windows, health, now_s=now_s))


def _workplace(config: Path) -> Workplace:
    return open_workplace(config, os.environ, Path.cwd())


def _client(address: str) -> ServeClient:
    return ServeClient(address, ray_token(os.environ, Path.home()), timeout_s=10.0)


def _health(url: str) -> dict[str, object] | None:
    try:
        found: dict[str, object] = requests.get(url, timeout=5).json()
    except (requests.RequestException, ValueError):
        return None
    return found


if __name__ == "__main__":
    main()
