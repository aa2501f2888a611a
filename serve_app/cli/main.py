"""Defines the ``recserve`` command: its verbs, its help, and how an error ends it."""

import sys
from collections.abc import Mapping
from importlib import import_module

import click

from serve_app.errors import RecserveError
from serve_app.operations.disk_full import DISK_FULL, is_disk_full

SECTIONS: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("Data and fitting", "data_verbs"): {
        "demo": "Write the files of a simulated shop to FOLDER.",
        "load": "Load files of items, users and interactions into the database.",
        "fit": "Fit features, candidate tables and models, and publish them as a new version.",
        "migrate": "Create the tables of the database, or bring them up to date.",
    },
    ("Evaluation", "evaluation_verbs"): {
        "evaluate": "Compare the recommendations with those of other models on past data.",
    },
    ("Published versions", "version_verbs"): {
        "versions": "List, show, promote and roll back published versions.",
    },
    ("Serving", "serving_verbs"): {
        "run": "Serve recommendations on this machine until Ctrl-C.",
        "status": "Show replicas, versions, request rates and latencies of the last minutes.",
        "scale": "Change the bounds on the number of replicas of DEPLOYMENT.",
    },
    ("Simulation", "simulation_verbs"): {
        "simulate": "Let simulated shoppers visit a running demo shop, and measure what they buy.",
    },
    ("Settings and checks", "serving_verbs"): {
        "init": "Write the configuration files to FOLDER, to be edited.",
        "doctor": "Check that everything is in place, and say what to do where it is not.",
    },
}
"""Heading of ``--help`` and module of the ``<verb>_command``s → a sentence by verb."""

ALIASES = {"models": "versions"}
"""Earlier names of verbs. They work as before and are not listed."""


class LazyGroup(click.Group):
    """Imports the module of a verb when the verb is called: ``--help`` must not wait for Ray."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [verb for section in SECTIONS.values() for verb in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = ALIASES.get(cmd_name, cmd_name)
        for (_, module), sentences in SECTIONS.items():
            if verb in sentences:
                verbs_module = import_module(f"serve_app.cli.{module}")
                command: click.Command = getattr(verbs_module, f"{verb}_command")
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for (heading, _), sentences in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl(list(sentences.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def verbs() -> None:
    """Fit and serve recommendations.

    `recserve run` starts with an empty database: it loads a demo shop, fits it and serves it. For
    your own data, use `load`, `fit` and `run`.

    DATABASE_URL and REDIS_URL name the stores. Without them, recserve starts its own PostgreSQL and
    Redis, with their files in RECSERVE_HOME (default: .recserve).
    """


def main() -> None:
    """Runs the command; an anticipated error ends it with one sentence instead of a traceback."""
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
    except Exception as error:
        if is_disk_full(error):
            click.echo(f"recserve: {DISK_FULL}", err=True)
            sys.exit(1)
        # Users cause errors that name a file, e.g. a folder without write permission. Any other
        # error of the operating system is a bug and keeps its traceback.
        if not isinstance(error, OSError) or error.filename is None:
            raise
        click.echo(f"recserve: {error.filename}: {error.strerror}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
