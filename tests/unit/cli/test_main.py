"""The table of verbs against the commands themselves. The contract tests run the commands."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from serve_app.cli.main import ALIASES, SECTIONS, verbs

HEAVY = ("ray", "pandas", "numpy", "scipy", "xgboost", "implicit", "pyarrow", "pydantic", "redis")

SENTENCES = {verb: sentence for verbs in SECTIONS.values() for verb, sentence in verbs.items()}


def command_of(verb):
    return verbs.get_command(click.Context(verbs), verb)


def commands_below(command):
    yield command
    for below in getattr(command, "commands", {}).values():
        yield from commands_below(below)


@pytest.mark.parametrize("verb", SENTENCES)
def test_the_list_of_verbs_repeats_the_first_sentence_of_their_help(verb):
    command = command_of(verb)

    assert command.name == verb
    assert command.get_short_help_str(limit=200).rstrip(".") == SENTENCES[verb].rstrip(".")


@pytest.mark.parametrize("verb", SENTENCES)
def test_every_option_is_explained_with_its_default(verb):
    for command in commands_below(command_of(verb)):
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{command.name} {option.opts}"
                has_value = (
                    option.to_info_dict()["default"] not in (None, False) and not option.is_flag
                )
                is_shown = option.show_default or command.context_settings.get("show_default")
                assert not has_value or is_shown, f"{command.name} {option.opts}"


def test_an_unknown_verb_has_no_command():
    assert command_of("lod") is None


def test_an_earlier_name_works_like_the_verb_and_is_not_listed():
    assert ALIASES == {"models": "versions"}
    assert command_of("models") is command_of("versions")
    assert "models" not in verbs.list_commands(click.Context(verbs))

    listed = CliRunner().invoke(verbs, ["models", "list", "--help"])

    assert listed.exit_code == 0
    assert listed.stderr == ""


def test_help_shows_every_verb_under_a_heading_and_imports_no_heavy_library():
    code = (
        "import sys; from serve_app.cli.main import verbs;"
        "verbs(['--help'], standalone_mode=False);"
        f"print('loaded:', sorted(sys.modules.keys() & {set(HEAVY)}))"
    )

    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout

    assert output.splitlines()[-1] == "loaded: []"
    for heading, _ in SECTIONS:
        assert f"\n{heading}:\n" in output
    for verb in SENTENCES:
        assert f"\n  {verb} " in output
    assert "\n  models " not in output
