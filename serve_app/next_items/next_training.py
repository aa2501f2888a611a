"""Defines what rivals of next items are fitted on, and the record of such a rival."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serve_app.arrays.columns import MISSING, Mask
from serve_app.arrays.units import DAY_S
from serve_app.domain.interactions import InteractionLog
from serve_app.domain.sessions import session_numbers
from serve_app.evaluation.training_matrix import Point
from serve_app.next_items.next_protocol import NextSplit
from serve_app.next_items.next_questions import Items, Prefixes

Floats = NDArray[np.float64]

ScoreQuestions = Callable[[Prefixes], NDArray[np.floating]]
"""Scores all ranked items for some questions, shape (n, n_items); the largest is best."""

UNITS = ("session", "user")
"""What a rival takes for one visit: a session, or all that a user has done."""

_TIE_BREAK = 1e-6
_LEAST_WEIGHT = 1e-4
_LEAST_SHARE = 1e-300  # Divides a sum of zero.


@dataclass(frozen=True, slots=True)
class NextTraining:
    """Events before the test sessions, ordered by user and then by time.

    Attributes:
        items: shape (n,), int32, numbers of the ranked items.
        sessions, users: shape (n,), ascending numbers.
        counted: shape (n,), bool, events that are predicted.
        ages_days: shape (n,), float64, before the test sessions begin.
        categories: shape (n_items,), codes.
        background: shape (n_items,), share of each item in the popularity that was tuned first.
    """

    items: Items
    sessions: NDArray[np.int64]
    users: NDArray[np.int64]
    counted: Mask
    ages_days: Floats
    categories: NDArray[np.int64]
    background: Floats

    @property
    def n_items(self) -> int:
        return len(self.categories)

    def visits(self, unit: str) -> NDArray[np.int64]:
        """Number of each event's visit, shape (n,), ascending."""
        return self.sessions if unit == "session" else self.users

    @property
    def units(self) -> tuple[str, ...]:
        """The units that differ; one where no user came twice."""
        n_sessions, n_users = len(np.unique(self.sessions)), len(np.unique(self.users))
        return UNITS if n_sessions > n_users else UNITS[:1]

    def popularity(self, half_life_days: float) -> Floats:
        """Share of each item in the counted events, each halved per half-life of its age."""
        weights = self.counted * np.exp2(-self.ages_days / half_life_days)
        sums = np.bincount(self.items, weights, minlength=self.n_items)
        return np.asarray(sums / max(sums.sum(), _LEAST_SHARE))

    def matrix(self, unit: str, events: Mask | None = None) -> csr_array:
        """Ones for the items of each visit, shape (n_visits, n_items), float32."""
        _, visits = np.unique(self.visits(unit), return_inverse=True)
        shape = (int(visits.max(initial=-1)) + 1, self.n_items)
        used = slice(None) if events is None else events
        ones = np.ones(len(self.items[used]), np.float32)
        matrix = csr_array((ones, (visits[used], self.items[used])), shape=shape)
        matrix.sum_duplicates()
        matrix.data[:] = 1
        return matrix


@dataclass(frozen=True, slots=True)
class NextRival:
    """A model of next items that the served system is compared with.

    Attributes:
        grid: the points to choose from; each is tried with every unit that differs.
        has_units: its points have a ``unit``.
        fit: yields a scorer for each point, in order.
        max_items: largest catalogue that the model can take; ``None`` for any.
    """

    name: str
    grid: tuple[Point, ...]
    fit: Callable[[NextTraining, Sequence[Point]], Iterator[ScoreQuestions]]
    has_units: bool = True
    max_items: int | None = None

    def points(self, training: NextTraining) -> tuple[Point, ...]:
        if not self.has_units:
            return self.grid
        return tuple({**point, "unit": unit} for unit in training.units for point in self.grid)


def training_of(split: NextSplit, category_of_row: NDArray[np.int64]) -> NextTraining:
    """Events that the rivals of a split are fitted on; the background is empty yet.

    Args:
        category_of_row: shape (rows of the catalogue,), codes.
    """
    known: InteractionLog = split.known
    item_of_row = np.full(int(split.item_rows.max()) + 1, MISSING, np.int32)
    item_of_row[split.item_rows] = np.arange(split.n_items)
    return NextTraining(
        items=item_of_row[known.rows],
        sessions=session_numbers(known.users, known.at, split.session_gap_s),
        users=known.users.astype(np.int64),
        counted=split.label.counts(known),
        ages_days=(split.cut_at - known.at) / DAY_S,
        categories=category_of_row[split.item_rows],
        background=np.zeros(split.n_items),
    )


def with_background(training: NextTraining, half_life_days: float) -> NextTraining:
    """The training with the popularity of this half-life as its background."""
    return replace(training, background=training.popularity(half_life_days))


def prefix_matrix(items: Items, decay: float, n_items: int) -> csr_array:
    """Weights of the known items, ``decay`` to the number of later events; repeats add up.

    Args:
        items: shape (n, depth), as in ``Prefixes``.

    Returns:
        Shape (n, n_items), float32.
    """
    # Powers fall below float32 soon: fewer columns, equal scores.
    weights = np.power(float(decay), np.arange(items.shape[1])).astype(np.float32)
    rows, columns = np.nonzero((items != MISSING) & (weights > _LEAST_WEIGHT))
    shape = (len(items), n_items)
    return csr_array((weights[columns], (rows, items[rows, columns])), shape=shape)


def with_ties_broken(scores: NDArray[np.floating], background: Floats) -> NDArray[np.floating]:
    """The scores, with equal ones ordered by popularity; of unit scale, shape (n, n_items)."""
    share = background / max(background.max(initial=0), _LEAST_SHARE)
    return np.asarray(scores + _TIE_BREAK * share)
