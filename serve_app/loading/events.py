"""Checks posted events by the rules for the rows of files, many posts at once."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from pydantic import Field

from serve_app.arrays.units import DAY_S
from serve_app.domain.posts import EVENT_FIELDS, EntryFault, EventPost, EventRow
from serve_app.domain.settings import Settings
from serve_app.loading.chunk import Chunk, known
from serve_app.loading.rows import Limits, check_interactions

_TIME = EVENT_FIELDS.index("timestamp")


class EventRules(Settings):
    """Bounds of an event that is posted over HTTP."""

    max_ahead_s: float = Field(
        default=600.0,
        ge=0,
        description="Seconds that the timestamp of an event may lie in the future. Later ones are"
        " refused: most come from a local time that was sent as UTC.",
    )
    max_age_days: float = Field(
        default=3_650.0,
        gt=0,
        description="Largest age of an event in days. Older ones are refused.",
    )
    max_rating: float = Field(
        default=5.0, gt=0, description="Largest rating. Larger ones are refused."
    )

    def limits(self, now_at: float) -> Limits:
        """The bounds at a time (epoch seconds)."""
        return Limits(
            earliest_at=now_at - self.max_age_days * DAY_S,
            latest_at=now_at + self.max_ahead_s,
            max_rating=self.max_rating,
            max_rating_setting="events.rules.max_rating",
            or_skip="",
        )


def check_posts(
    posts: Sequence[EventPost], rules: EventRules, now_at: float
) -> list[list[EventRow] | tuple[EntryFault, ...]]:
    """Checks posts: gives the rows of each, or everything that is wrong with it.

    The posts are one chunk, because a check costs a hundred times more than one row in it.

    Args:
        now_at: epoch seconds.
    """
    cells = [known(event) for post in posts for event in post.events]
    are_dated = [event[_TIME] is not None for event in cells]
    arrivals = [post.arrived_at for post in posts for _ in post.events]
    columns: dict[str, list[object]] = dict(
        zip(EVENT_FIELDS, map(list, zip(*cells, strict=True)), strict=True)
    )
    columns["timestamp"] = [
        given if dated else arrival
        for given, dated, arrival in zip(columns["timestamp"], are_dated, arrivals, strict=True)
    ]
    checked = check_interactions(Chunk(range(len(cells)), columns, (), 1.0), rules.limits(now_at))
    faults = {reject.line: (reject.column, reject.reason) for reject in checked.rejects}
    good = (line for line in range(len(cells)) if line not in faults)
    rows = {
        line: EventRow._make((*row[1:], are_dated[line]))
        for line, row in zip(good, checked.rows, strict=True)
    }
    bounds = pairwise(accumulate(map(len, posts), initial=0))
    return [_of_post(range(start, end), rows, faults) for start, end in bounds]


def _of_post(
    lines: range, rows: dict[int, EventRow], faults: dict[int, tuple[str, str]]
) -> list[EventRow] | tuple[EntryFault, ...]:
    found = tuple(EntryFault(i, *faults[line]) for i, line in enumerate(lines) if line in faults)
    return found or [rows[line] for line in lines]
