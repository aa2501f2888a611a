"""What is published, and which of it is served: models list, show, promote, rollback."""

import time
from pathlib import Path

import click

from serve_app.cli.options import config_option, workplace_of
from serve_app.operations import promoting
from serve_app.operations.published import listing, page


@click.group("models")
def models_command() -> None:
    """List, show, promote and roll back what is published."""


@models_command.command("list")
@config_option
def list_command(config: Path) -> None:
    """List the versions that are there; * is served."""
    click.echo(listing(workplace_of(config).bundles.root))


@models_command.command("show")
@click.argument("version", required=False)
@config_option
def show_command(version: str | None, config: Path) -> None:
    """Show VERSION in full; without one, the version that is served."""
    workplace = workplace_of(config)
    click.echo(page(workplace.bundles.root, version, workplace.config.variants))


@models_command.command("promote")
@click.argument("version")
@click.option("--force", is_flag=True, help="Even if its fit kept it back or replicas refuse it.")
@config_option
def promote_command(version: str, force: bool, config: Path) -> None:
    """Serve VERSION; replicas follow within about ten seconds, without a restart."""
    workplace = workplace_of(config)
    overruled = promoting.promote(
        workplace.bundles.root, version, workplace.config.variants, force=force, at=time.time()
    )
    click.echo(f"{version} is current" + (f", although {overruled}" if overruled else ""))


@models_command.command("rollback")
@config_option
def rollback_command(config: Path) -> None:
    """Serve again what was served before the current version; twice goes back two."""
    workplace = workplace_of(config)
    version = promoting.rollback(workplace.bundles.root, workplace.config.variants, at=time.time())
    click.echo(f"{version} is current again")
