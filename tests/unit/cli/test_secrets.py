"""Greps what the commands say for passwords that are planted where they cannot be read."""

import sys

import pytest
import yaml

from serve_app.cli import main as cli
from serve_app.operations.init_folder import DEFAULTS

SECRET = "hunter2"
PLANTED = {
    "DATABASE_URL": f"postgresql//shop:{SECRET}@db/shop",
    "REDIS_URL": f"redis://:{SECRET}/x@cache:6379",
    "bundles": f"s3://KEY:{SECRET}@bucket/folder",
}
COMMANDS = [
    ("load", "--items", "items.csv"),
    ("fit",),
    ("evaluate", "--interactions", "x.csv"),
    ("versions", "list"),
    ("versions", "show"),
    ("versions", "promote", "20261031-00000000"),
    ("versions", "rollback"),
    ("run",),
    ("status",),
    ("doctor",),
]


@pytest.mark.parametrize("place", PLANTED)
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_repeats_a_password(words, place, tmp_path, monkeypatch, capsys):
    config = yaml.safe_load((DEFAULTS / "serve_config.yaml").read_text())
    if place == "bundles":
        config["applications"][0]["args"]["bundles"] = PLANTED[place]
    else:
        monkeypatch.setenv(place, PLANTED[place])
    (tmp_path / "serve_config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("RECSERVE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    given = ("--config", "serve_config.yaml")
    monkeypatch.setattr(sys, "argv", ["recserve", *words, *given])

    with pytest.raises(SystemExit) as end:
        cli.main()

    said = capsys.readouterr()
    assert end.value.code == 1
    assert SECRET not in said.out + said.err
    assert "Traceback" not in said.err
