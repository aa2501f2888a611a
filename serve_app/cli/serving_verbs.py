"""Defines the verbs of the running service: run, scale, status, doctor, init."""

import os
import sys
import time
from functools import partial
from pathlib import Path

import click

from serve_app.bundles.bundle import served_shop
from serve_app.cli.options import (
    client_of,
    config_option,
    dashboard_option,
    fit_settings_option,
    packaged_file_option,
    workplace_of,
)
from serve_app.cli.progress import show_progress
from serve_app.operations.command_cache import use_cache
from serve_app.operations.doctor.all_checks import all_checks
from serve_app.operations.doctor.checking import Outcome, format_results, run_checks
from serve_app.operations.init_folder import init_folder
from serve_app.running.environment import (
    child_environment,
    ensure_free,
    needed_ports,
    parse_env_file,
)
from serve_app.running.first_answer import ready_message
from serve_app.running.only_run import only_run
from serve_app.running.pulse import pulse_of
from serve_app.running.rest import DEFAULT_ADDRESS, health_of
from serve_app.running.scale import scale
from serve_app.running.serve_run import Service, deploy_failure, run_service, serve_run
from serve_app.running.status import status
from serve_app.telemetry.minutes import read_minutes

N_MINUTES = 5


@click.command("run")
@config_option
@fit_settings_option
@packaged_file_option(
    "--profile",
    default=Path("configs/fast.env"),
    help="File of RAY_SERVE_* variables that are set before Ray starts.",
)
@click.option("--demo", is_flag=True, help="Fill an empty database with the demo shop first.")
@click.option("--empty", is_flag=True, help="Serve an empty shop, to be filled over HTTP.")
def run_command(config: Path, settings: Path, profile: Path, demo: bool, empty: bool) -> None:
    """Serve recommendations on this machine until Ctrl-C.

    The embedded database is filled with a demo shop when it is empty, unless --empty is given;
    another database only with --demo. A version is fitted if there are items and none can be
    served.
    """
    if demo and empty:
        raise click.UsageError("give --demo or --empty, not both")
    # Imported here, because it imports the fit, which the other verbs do not need.
    from serve_app.operations.first_run import example_user, prepare_first_run

    workplace = workplace_of(config)
    home, base_url = workplace.location.home, workplace.http.url
    environment = child_environment(os.environ, parse_env_file(profile))
    environment["RECSERVE_HOME"] = str(home)
    ports = needed_ports(workplace.http.port, environment)
    client = client_of(DEFAULT_ADDRESS)
    with only_run(home, click.echo):
        ensure_free(ports)  # checked before a fit takes minutes, and again when Serve starts
        with workplace.stores():
            with show_progress() as progress:
                prepare_first_run(workplace, settings, click.echo, progress, demo=demo, empty=empty)
            user_id = example_user(workplace)
            click.echo("starting Ray Serve")
            service = Service(
                command=serve_run(config),
                environment=environment,
                ready_url=f"{base_url}/ready",
                home=home,
                log=home / "serve.log",
                failure=lambda: deploy_failure(client),
                why_gone=pulse_of(base_url, client, click.echo).why_gone,
            )
            ready = partial(ready_message, base_url, user_id)
            code = run_service(service, ports=ports, ready=ready, announce=click.echo)
    sys.exit(code)


@click.command("scale")
@click.argument("deployment")
@click.option("--min", "min_replicas", type=int, help="Fewest replicas. Default: as before.")
@click.option(
    "--max", "max_replicas", type=int, help="Most replicas, at least 1. Default: as before."
)
@dashboard_option
def scale_command(
    deployment: str, min_replicas: int | None, max_replicas: int | None, dashboard: str
) -> None:
    """Change the bounds on the number of replicas of DEPLOYMENT.

    No replica restarts. The new bounds last until the next `serve deploy`.
    """
    if min_replicas is None and max_replicas is None:
        raise click.UsageError("give --min, --max or both")
    report = scale(
        client_of(dashboard), deployment, min_replicas=min_replicas, max_replicas=max_replicas
    )
    for when, replicas in (("before", report.before), ("after", report.after)):
        click.echo(
            f"{when:<7} {report.deployment}: {replicas.n_running} running,"
            f" bounds {replicas.n_min}–{replicas.n_max}"
        )


@click.command("status")
@config_option
@dashboard_option
def status_command(config: Path, dashboard: str) -> None:
    """Show replicas, versions, request rates and latencies of the last minutes."""
    workplace = workplace_of(config)
    now_s, shop = time.time(), served_shop(workplace.bundles.root)
    with workplace.stores_that_run() as urls:
        minutes = (
            use_cache(urls.redis, lambda cache: read_minutes(cache.of_shop(shop), now_s, N_MINUTES))
            if urls
            else []
        )
    health = health_of(workplace.http.url)
    click.echo(status(client_of(dashboard), minutes, health, now_s=now_s))


@click.command("doctor")
@config_option
@dashboard_option
def doctor_command(config: Path, dashboard: str) -> None:
    """Check that everything is in place, and say what to do where it is not."""
    results = run_checks(all_checks(workplace_of(config), os.environ, client_of(dashboard)))
    click.echo(format_results(results))
    if any(result.outcome is Outcome.FAIL for result in results):
        sys.exit(1)


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
def init_command(folder: Path, force: bool) -> None:
    """Write the configuration files to FOLDER, to be edited.

    Default: the working directory. Commands use these files when they run in this folder.
    """
    for path in init_folder(folder, force=force):
        click.echo(path)
