"""Defines the verbs of published versions: versions list, show, promote and rollback."""

import time
from pathlib import Path

import click

from serve_app.cli.options import config_option, workplace_of
from serve_app.operations.versions import listing, page, promote, rollback


@click.group("versions")
def versions_command() -> None:
    """List, show, promote and roll back published versions.

    Each fit publishes a version. Replicas serve the version that is current.
    """


@versions_command.command("list")
@config_option
def list_command(config: Path) -> None:
    """List all versions; * marks the served one."""
    click.echo(listing(workplace_of(config).bundles.root))


@versions_command.command("show")
@click.argument("version", required=False)
@config_option
def show_command(version: str | None, config: Path) -> None:
    """Show VERSION in full. Default: the served version."""
    workplace = workplace_of(config)
    click.echo(page(workplace.bundles.root, version, workplace.config.variants))


@versions_command.command("promote")
@click.argument("version")
@click.option(
    "--force",
    is_flag=True,
    help="Promote even if the fit kept the version back or replicas would refuse it.",
)
@config_option
def promote_command(version: str, force: bool, config: Path) -> None:
    """Serve VERSION. Replicas follow within about ten seconds, without a restart."""
    overruled = promote(workplace_of(config).bundles, version, force=force, at=time.time())
    click.echo(f"{version} is current" + (f", although {overruled}" if overruled else ""))


@versions_command.command("rollback")
@config_option
def rollback_command(config: Path) -> None:
    """Serve the version that was served before the current one. Twice goes back two versions."""
    version = rollback(workplace_of(config).bundles, at=time.time())
    click.echo(f"{version} is current again")
