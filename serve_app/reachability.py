"""Keeps since when a store does not answer."""

import time
from collections.abc import Callable


class Reachability:
    """Of one store, as one process sees it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` gives seconds from a fixed moment."""
        self._clock = clock
        self._failing_since_s: float | None = None

    def answered(self) -> None:
        self._failing_since_s = None

    def failed(self) -> None:
        if self._failing_since_s is None:
            self._failing_since_s = self._clock()

    @property
    def unreachable_s(self) -> float:
        """Seconds since the first failure after the last answer; 0 if there was none."""
        since_s = self._failing_since_s
        return 0.0 if since_s is None else self._clock() - since_s
