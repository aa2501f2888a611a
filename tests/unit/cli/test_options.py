"""The options fall back to packaged files only if users name none and the folder has none."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from serve_app.cli.options import config_option
from serve_app.operations.init_folder import DEFAULTS


@click.command
@config_option
def show(config: Path) -> None:
    click.echo(config)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(show, words)


def test_uses_the_packaged_file_and_says_so(run):
    result = run()

    assert result.stdout.strip() == str(DEFAULTS / "serve_config.yaml")
    assert result.stderr.strip() == "serve_config.yaml does not exist: using the default settings"


def test_prefers_the_file_of_the_folder(run, tmp_path):
    (tmp_path / "serve_config.yaml").touch()

    result = run()

    assert result.stdout.strip() == "serve_config.yaml"
    assert not result.stderr


def test_does_not_replace_a_file_that_the_user_named(run):
    assert run("--config", "other.yaml").stdout.strip() == "other.yaml"
    assert run("--config", "serve_config.yaml").stdout.strip() == "serve_config.yaml"
