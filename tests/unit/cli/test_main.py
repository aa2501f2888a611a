"""The table of verbs against the commands themselves; what they do is in tests/contract."""

import subprocess
import sys

import click
import pytest

from serve_app.cli.main import VERBS, verbs

HEAVY = ("ray", "pandas", "numpy", "scipy", "xgboost", "implicit", "pyarrow", "pydantic", "redis")

LINES = {verb: line for group in VERBS.values() for verb, line in group.items()}


@pytest.mark.parametrize("verb", LINES)
def test_help_says_of_a_verb_what_the_verb_says_of_itself(verb):
    command = verbs.get_command(click.Context(verbs), verb)

    assert command.name == verb
    assert command.get_short_help_str(limit=200) == LINES[verb].rstrip(".") + "."


def test_a_verb_that_there_is_not_is_none():
    assert verbs.get_command(click.Context(verbs), "lod") is None


def test_help_waits_for_no_library_that_only_a_verb_needs():
    code = (
        "import sys; from serve_app.cli.main import verbs;"
        "verbs(['--help'], standalone_mode=False);"
        f"print('loaded:', sorted(sys.modules.keys() & {set(HEAVY)}))"
    )

    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout

    assert said.splitlines()[-1] == "loaded: []"
    for verb in LINES:
        assert f"\n  {verb} " in said
