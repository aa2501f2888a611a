"""Which versions were made current, one after another, and what a rollback makes of that."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from serve_app.bundles.manifest import VERSION_PATTERN

Cause = Literal["fit", "operator", "forced", "rollback"]
"""Who made a version current; ``forced``: an operator, against what its report or models say."""


class _Record(BaseModel):
    """Keys that a later build may add are no error."""

    model_config = ConfigDict(frozen=True)


class Promotion(_Record):
    """
    Attributes:
        version: that became current.
        at: when, epoch seconds.
        by: who did it.
        over: the version that was current then; ``None`` when there was none.
    """

    version: str = Field(pattern=VERSION_PATTERN.pattern)
    at: float
    by: Cause
    over: str | None


class StoredVerdict(_Record):
    """
    Whether the fit made its version current, as its report says.

    Attributes:
        reason: why, or why not.
    """

    promoted: bool
    reason: str


def carried_out(promotions: Sequence[Promotion], current: str | None) -> Sequence[Promotion]:
    """
    The promotions that happened. Each is written down before it is done, so the last one may be a
    plan that its process did not live to carry out: what it was to replace is current still.
    """
    if promotions and promotions[-1].over == current != promotions[-1].version:
        return promotions[:-1]
    return promotions


def served_before(promotions: Sequence[Promotion], current: str | None) -> list[str]:
    """
    Versions that were current before this one, the latest first: where rollbacks lead, in turn.

    A rollback takes back the promotions after the one that it returns to, so the next goes further
    back. What became current without being written down (``current`` was edited, or the history
    was lost) counts as a promotion, as far as the ``over`` of a later one tells of it.

    Args:
        promotions: oldest first, as written down.
        current: the version that is served.
    """
    stack: list[str] = []
    for each in carried_out(promotions, current):
        if each.by == "rollback":
            while stack and stack[-1] != each.version:
                stack.pop()
        elif each.over is not None:
            _put(stack, each.over)
        _put(stack, each.version)
    return [version for version in reversed(stack) if version != current]


def _put(stack: list[str], version: str) -> None:
    if stack[-1:] != [version]:
        stack.append(version)
