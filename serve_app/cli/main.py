"""The ``recserve`` command: which verbs there are, and how an error ends one."""

import sys
from collections.abc import Mapping
from importlib import import_module

import click

from serve_app.errors import RecserveError

VERBS: Mapping[str, Mapping[str, str]] = {
    "data": {
        "demo": "Write a simulated shop's files to FOLDER.",
        "load": "Load items, users and interactions, any of them; loading twice changes nothing.",
        "fit": "Compute features and candidate tables, train the models, publish them as one"
        " bundle.",
        "evaluate": "Compare what would be recommended with other models, on the future of any"
        " shop's files.",
    },
    "models": {
        "models": "List, show, promote and roll back what is published.",
    },
    "serving": {
        "run": "Serve on this machine until Ctrl-C; fills an empty store with a demo shop first.",
        "scale": "Change how many replicas DEPLOYMENT may have; nothing else restarts.",
        "status": "Replicas, models, request rates and latencies of the last minutes.",
        "doctor": "Check that everything is in place, and say what to do where it is not.",
        "settings": "Print every setting with its default, its bounds and its meaning.",
    },
}
"""What each verb does, by its module in ``commands``, where it is called ``<verb>_command``."""


class LazyGroup(click.Group):
    """Imports a module of ``commands`` when one of its verbs is called, and none for ``--help``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [verb for group in VERBS.values() for verb in group]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for module, group in VERBS.items():
            if cmd_name in group:
                found = import_module(f"serve_app.cli.{module}_verbs")
                command: click.Command = getattr(found, f"{cmd_name}_command")
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for module, group in VERBS.items():
            with formatter.section(module.capitalize()):
                formatter.write_dl(list(group.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def verbs() -> None:
    """Recommendations that answer always: load, fit, serve, operate.

    Stores are taken from DATABASE_URL and REDIS_URL; without them a PostgreSQL and a Redis of its
    own run in RECSERVE_HOME (default: .recserve).
    """


def main() -> None:
    """Entry point: an anticipated error ends in one sentence, not in a traceback."""
    try:
        verbs(standalone_mode=False)
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


if __name__ == "__main__":
    main()
