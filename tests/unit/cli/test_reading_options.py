"""Verbs that read a shop's files have the options that messages about bad rows name."""

import click
import pytest

from serve_app.cli.data_verbs import load_command
from serve_app.cli.evaluation_verbs import evaluate_command


@pytest.mark.parametrize("command", [load_command, evaluate_command])
def test_a_verb_that_reads_files_has_every_option_of_reading(command: click.Command) -> None:
    names = {name for parameter in command.params for name in parameter.opts}
    assert {"--max-reject-share", "--max-rating", "--event-id", "--attribute"} <= names
