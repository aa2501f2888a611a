"""Tells the requests whose filter costs passes over a large catalogue from all others.

They travel in small batches of their own: one request must not make a batch of others late.
"""

from collections import OrderedDict

from serve_app.domain.filters.allowed_items import MAX_BYTES
from serve_app.domain.filters.masks import Filter

CHEAP_READS = 2_000_000
"""Values that a filter may read in a batch with others. That takes a few milliseconds."""

N_WALKS = 4
"""Orders of the catalogue that a filter is applied to, as passes."""

MAX_BATCH = 4
"""Requests with a costly filter that travel together."""


class CostlyFilters:
    """Remembers the filters that were asked lately: the stages keep their masks."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, Filter], None] = OrderedDict()

    def is_costly(self, wanted: Filter | None, version: str, n_rows: int) -> bool:
        """Tells whether a filter costs many passes, and remembers it.

        Args:
            version: of the bundle.
            n_rows: size of its catalogue.
        """
        if wanted is None or n_rows * (len(wanted.conditions) + N_WALKS) <= CHEAP_READS:
            return False
        key = (version, wanted)
        is_new = key not in self._seen
        self._seen[key] = None
        self._seen.move_to_end(key)
        # As many as a stage keeps masks of.
        while len(self._seen) > max(1, MAX_BYTES // n_rows):
            self._seen.popitem(last=False)
        return is_new
