"""Keeps the trouble of one id away from the ids that are read together with it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from serve_app.errors import StoreUnavailable

Value = TypeVar("Value")

Load = Callable[[Sequence[str]], Awaitable[Mapping[str, Value]]]

PAUSE_S = 1.0
"""Seconds in which ids are only read together, because all of them failed alone as well."""

N_REMEMBERED = 1_000

_OF_ALL = ("unreachable", "too_many_waiting", "no_schema", "closed")
"""Reasons that hold for any id."""


@dataclass(frozen=True, slots=True)
class ReadResult(Generic[Value]):
    """
    Attributes:
        values: of the ids that exist.
        unanswered: ids for which no store answered; any other id without a value does not exist.
    """

    values: Mapping[str, Value]
    unanswered: frozenset[str] = field(default_factory=frozenset)


class ReadsApart(Generic[Value]):
    """Reads ids together. If that fails, reads them one by one.

    An id that fails alone is read apart from the others from then on, until it succeeds.
    """

    def __init__(self, load: Load[Value], clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            load: reads values; unknown ids are absent from its result.
        """
        self._load = load
        self._clock = clock
        self._troublesome: dict[str, None] = {}
        self._together_until_s = 0.0

    async def read(self, ids: Sequence[str]) -> ReadResult[Value]:
        alone = [id_ for id_ in ids if id_ in self._troublesome]
        others = [id_ for id_ in ids if id_ not in self._troublesome]
        reads = [self._alone(id_) for id_ in alone]
        if others:
            reads.append(self._together(others))
        return _merge(await asyncio.gather(*reads))

    async def _together(self, ids: Sequence[str]) -> ReadResult[Value]:
        try:
            return ReadResult(await self._load(ids))
        except StoreUnavailable as failure:
            if failure.reason in _OF_ALL or self._clock() < self._together_until_s:
                return ReadResult({}, frozenset(ids))
        # Set first: the caller may cancel what takes too long.
        self._together_until_s = self._clock() + PAUSE_S
        found = _merge(await asyncio.gather(*(self._alone(id_) for id_ in ids)))
        if len(found.unanswered) < len(ids):
            self._together_until_s = 0.0
        else:
            self._troublesome.clear()
        return found

    async def _alone(self, id_: str) -> ReadResult[Value]:
        try:
            values = await self._load([id_])
        except StoreUnavailable:
            self._troublesome[id_] = None
            if len(self._troublesome) > N_REMEMBERED:
                del self._troublesome[next(iter(self._troublesome))]
            return ReadResult({}, frozenset([id_]))
        self._troublesome.pop(id_, None)
        return ReadResult(values)


def _merge(results: Sequence[ReadResult[Value]]) -> ReadResult[Value]:
    if len(results) == 1:
        return results[0]
    values = {id_: value for result in results for id_, value in result.values.items()}
    return ReadResult(values, frozenset().union(*(result.unanswered for result in results)))
