"""Defines the options that several verbs share, and opens what they name."""

import math
import os
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from serve_app.operations.init_folder import DEFAULTS
from serve_app.operations.workplace import Workplace, open_workplace
from serve_app.running.rest import DEFAULT_ADDRESS, ServeClient, ray_token


class FiniteRange(click.FloatRange):
    """A range of numbers without nan and infinities: no comparison would keep nan out."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        return number if math.isfinite(number) else self.fail(f"{value} is no number", param, ctx)


# Existence is checked where the file is read, which names it in one sentence.
FILE = click.Path(dir_okay=False, path_type=Path)


def use_packaged_file(ctx: click.Context, option: click.Parameter, file: Path) -> Path:
    """Falls back to the packaged file if users name no file and the folder has none."""
    source = ctx.get_parameter_source(option.name or "")
    if source is not ParameterSource.DEFAULT or file.exists():
        return file
    click.echo(f"{file} does not exist: using the default settings", err=True)
    return DEFAULTS / file


packaged_file_option = partial(
    click.option, type=FILE, callback=use_packaged_file, show_default=True
)
config_option = packaged_file_option(
    "--config", default=Path("serve_config.yaml"), help="Configuration file of the application."
)
fit_settings_option = packaged_file_option(
    "--settings", default=Path("configs/fit.yaml"), help="Settings file of the fit."
)
dashboard_option = click.option(
    "--dashboard", default=DEFAULT_ADDRESS, show_default=True, help="Address of Ray's dashboard."
)


def workplace_of(config: Path) -> Workplace:
    return open_workplace(config, os.environ, Path.cwd())


def client_of(address: str) -> ServeClient:
    return ServeClient(address, ray_token(os.environ, Path.home()), timeout_s=10.0)
