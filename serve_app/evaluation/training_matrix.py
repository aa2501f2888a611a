"""What the compared models learn from, and what a model is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

ScoreItems = Callable[[NDArray[np.int32]], NDArray[np.floating]]
"""Scores of all items for some users, shape (n_users, n_items); the largest is best."""

HALF_LIVES_DAYS = (1.0, 3.0, 7.0, 14.0, 30.0, 90.0, 365.0)
"""After how long an interaction says half as much: what time-aware models try."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingMatrix:
    """
    Each user and item that had to do with each other, once.

    Attributes:
        matrix: shape (n_users, n_items), float32: the weight of the strongest thing that the user
            did with the item.
        ages: of the same form: days since he last did anything with it. Zeros are stored.
    """

    matrix: csr_array
    ages: csr_array

    @property
    def n_users(self) -> int:
        return int(self.matrix.shape[0])

    @property
    def n_items(self) -> int:
        return int(self.matrix.shape[1])

    @property
    def n_buyers(self) -> NDArray[np.int64]:
        """Users of each item, shape (n_items,)."""
        return np.bincount(self.matrix.indices, minlength=self.n_items)

    def decayed(self, half_life_days: float) -> csr_array:
        """The matrix, each weight halved with every half-life."""
        decay = np.exp2(-self.ages.data / half_life_days)
        return with_values(self.matrix, (self.matrix.data * decay).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Rival:
    """
    Attributes:
        name: in the report.
        uses_time: whether it knows when something was done; if not, it is a textbook model.
        grid: parameters to choose from, each a mapping that can be written as JSON.
        fits: a scorer for each of some parameters, in their order; what they share is computed
            once.
        max_items: larger catalogues are more than the model can take; ``None`` for any.
    """

    name: str
    uses_time: bool
    grid: tuple[dict[str, Any], ...]
    fits: "Callable[[TrainingMatrix, Sequence[dict[str, Any]]], Iterator[ScoreItems]]"
    max_items: int | None = None


def with_values(matrix: csr_array, values: NDArray[np.floating]) -> csr_array:
    """A matrix with other values in the same places."""
    return csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)


def combinations(**choices: Sequence[float]) -> tuple[dict[str, Any], ...]:
    """All combinations; the last parameter changes fastest."""
    grid: list[dict[str, Any]] = [{}]
    for name, values in choices.items():
        grid = [{**each, name: value} for each in grid for value in values]
    return tuple(grid)


def grouped(
    points: Sequence[dict[str, Any]], *last: str
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Neighbouring points that differ in nothing but ``last``: what they share, and all of each."""

    def shared(point: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in point.items() if name not in last}

    for common, members in groupby(points, shared):
        yield common, list(members)
