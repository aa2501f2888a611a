"""Defines the options of verbs that read a shop's files: the files, and how they are read."""

from collections.abc import Callable, Mapping, Sequence

import click

from serve_app.cli.options import FILE, FiniteRange
from serve_app.loading.load import ATTRIBUTE_KINDS, LoadConfig

items_option = click.option("--items", type=FILE, help="CSV or Parquet file of items.")
users_option = click.option("--users", type=FILE, help="CSV or Parquet file of users.")


def _parse_kinds(_: click.Context, __: click.Parameter, texts: Sequence[str]) -> Mapping[str, str]:
    """Parses ``items.size=text`` and its like."""
    chosen = {}
    for text in texts:
        name, _equals, kind = text.rpartition("=")
        if kind not in ATTRIBUTE_KINDS or not name.startswith(("items.", "users.")):
            kinds = ", ".join(ATTRIBUTE_KINDS)
            raise click.BadParameter(
                f"{text!r} is not of the form items.size=KIND, KIND of {kinds}"
            )
        chosen[name] = kind
    return chosen


READING = {
    "max_reject_share": click.option(
        "--max-reject-share",
        type=FiniteRange(0, 1),
        default=LoadConfig().max_reject_share,
        help="Largest share of bad rows in a file, from 0 to 1. Above it, nothing is loaded.",
    ),
    "max_rating": click.option(
        "--max-rating",
        type=FiniteRange(0, min_open=True),
        default=LoadConfig().max_rating,
        help="Highest rating of the scale. Rows with a higher one are rejected.",
    ),
    "event_id": click.option(
        "--event-id",
        type=click.Choice(["event", "order"]),
        default=LoadConfig().event_id,
        help="What event_id identifies: one interaction, or an order of several lines.",
    ),
    "attributes": click.option(
        "--attribute",
        "attributes",
        multiple=True,
        callback=_parse_kinds,
        metavar="items.NAME=KIND",
        help="Kind of an attribute: number, flag, list or text. Stored values are converted.",
    ),
}
"""Options of every verb that reads a shop's files: messages about bad rows name them."""


def reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that say how files are read."""
    for option in reversed(READING.values()):
        command = option(command)
    return command
