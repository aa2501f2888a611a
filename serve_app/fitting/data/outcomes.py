"""Finds what users did after moments of a window with items that could be recommended to them."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows
from serve_app.arrays.grouping import in_sorted
from serve_app.arrays.ragged import (
    Offsets,
    gather,
    lengths_of,
    offsets_of,
    owners,
    positions_within,
    spans,
)
from serve_app.domain.interactions import InteractionLog
from serve_app.fitting.data.labels import BOUGHT, WANTED, Label
from serve_app.fitting.data.moments import Moments, draw_moments, histories_at
from serve_app.fitting.data.windows import are_lasting, select_interactions
from serve_app.recommending.candidates.finding import keys_with_types


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Interactions after a moment with items that could still be recommended to the user then.

    Attributes:
        moments: n moments, in order of the users.
        offsets: shape (n + 1,), int64.
        rows: shape (total,), int32, touched items, ascending within a moment.
        strengths: shape (total,), uint8, the strongest interaction with each.
        steps: shape (total,), int32, distinct times of the user's interactions from the moment to
            the first one with the item; 0 for what came next.
    """

    moments: Moments
    offsets: Offsets
    rows: Rows
    strengths: NDArray[np.uint8]
    steps: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.moments)

    @property
    def users(self) -> NDArray[np.int32]:
        return self.moments.users

    def take(self, numbers: NDArray[np.integer]) -> "Outcomes":
        """The outcomes of some of the moments."""
        positions, offsets = gather(self.offsets, numbers)
        return Outcomes(
            self.moments.take(numbers),
            offsets,
            self.rows[positions],
            self.strengths[positions],
            self.steps[positions],
        )


def sample(outcomes: Outcomes, n: int, seed: int) -> Outcomes:
    """Keeps at most n moments, chosen at random."""
    if len(outcomes) <= n:
        return outcomes
    # Sorted: moments are in order of the users.
    return outcomes.take(
        np.sort(np.random.default_rng(seed).choice(len(outcomes), n, replace=False))
    )


def find_outcomes(
    log: InteractionLog,
    moments: Moments,
    until_at: float,
    listed: Mask,
    label: Label = BOUGHT,
    least: int = WANTED,
) -> Outcomes:
    """Finds what users did from their moment on. Moments without such an interaction are left out.

    Purchases count unless they were returned until then. Items that the user is done with at the
    moment are left out, as the served lists leave them out.

    Args:
        until_at: epoch seconds, the end of the window; included.
        listed: shape (n_rows,), items that could be recommended when the window began.
        label: interactions that count; some of them end that an item is recommended.
        least: moments without an interaction of this strength are left out.
    """
    n_rows = len(listed)
    later = _select_later(log, moments, until_at, listed)
    keys = later.users.astype(np.int64) * n_rows + later.rows
    histories = histories_at(log, moments, label.ending_types).standing(n_rows)
    fresh = ~in_sorted(keys, keys_with_types(histories, label.ending_types, n_rows))
    steps = _count_steps(later, len(moments))
    keys, strengths, steps = _by_key(keys[fresh], label.strengths(later)[fresh], steps[fresh])
    wanted = np.unique(keys[strengths >= least] // n_rows)
    kept = in_sorted(keys // n_rows, wanted)
    lengths = np.bincount(np.searchsorted(wanted, keys[kept] // n_rows), minlength=len(wanted))
    return Outcomes(
        moments.take(wanted),
        offsets_of(lengths),
        (keys[kept] % n_rows).astype(np.int32),
        strengths[kept],
        steps[kept],
    )


class WindowOutcomes(NamedTuple):
    """Outcomes of a window; see ``moments.Drawn``.

    Attributes:
        first: at one moment of each user. Orders are measured on them.
        further: at other moments of these users, for models to learn from.
    """

    first: Outcomes
    further: Outcomes


def draw_outcomes(
    log: InteractionLog,
    start_at: float,
    until_at: float,
    listed: Mask,
    label: Label,
    least: int,
    *,
    n_users: int,
    n_further: int,
    seed: int,
) -> WindowOutcomes:
    """Draws moments of a window, and finds what users did from then on.

    Args:
        n_users: users that are drawn at most.
        n_further: further moments of a user at most.
        others: as in ``find_outcomes``.
    """
    counted = are_lasting(log, until_at) & (log.at >= start_at) & listed[log.rows]
    counted &= label.strengths(log) >= least
    rng = np.random.default_rng(seed)
    drawn = draw_moments(log, counted, start_at, n_users, n_further, rng)
    return WindowOutcomes(
        *(find_outcomes(log, moments, until_at, listed, label, least) for moments in drawn)
    )


def _select_later(
    log: InteractionLog, moments: Moments, until_at: float, listed: Mask
) -> InteractionLog:
    """Lasting interactions from each moment on, with numbers of moments in place of users."""
    user_ends = offsets_of(np.bincount(log.users, minlength=len(log.user_ids)))[moments.users + 1]
    positions, offsets = spans(moments.ends, user_ends - moments.ends)
    numbers = owners(offsets).astype(np.int32)
    later = replace(select_interactions(log, positions), users=numbers)
    return select_interactions(later, are_lasting(later, until_at) & listed[later.rows])


def _count_steps(later: InteractionLog, n_moments: int) -> NDArray[np.int32]:
    """Distinct times before that of each interaction, since its moment; shape (len(later),)."""
    offsets = offsets_of(np.bincount(later.users, minlength=n_moments))
    is_later = np.diff(later.at, prepend=np.nan) != 0
    times = np.cumsum(is_later | (positions_within(offsets) == 0))
    # Empty lists take no value, whatever their start points at.
    firsts = times[np.minimum(offsets[:-1], len(times) - 1)] if len(times) else offsets[:-1]
    steps: NDArray[np.int32] = (times - np.repeat(firsts, lengths_of(offsets))).astype(np.int32)
    return steps


def _by_key(
    keys: NDArray[np.int64], strengths: NDArray[np.uint8], steps: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int32]]:
    """Distinct keys, ascending, with the largest strength and the fewest steps of each."""
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    if not len(starts):
        return keys, strengths, steps
    return (
        keys[order][starts],
        np.maximum.reduceat(strengths[order], starts),
        np.minimum.reduceat(steps[order], starts),
    )
