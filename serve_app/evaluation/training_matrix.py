"""Defines the matrix that rivals are fitted on, and the record of a rival with its parameters."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

ScoreItems = Callable[[NDArray[np.int32]], NDArray[np.floating]]
"""Scores all items for some users, shape (n_users, n_items); the largest is best."""

Point = dict[str, Any]
"""One choice of a rival's parameters. Its values can be written as JSON."""

HALF_LIVES_DAYS = (1.0, 3.0, 7.0, 14.0, 30.0, 90.0, 365.0)
"""The half-lives that time-aware rivals try; an interaction's weight halves with each."""

_BLOCK_NUMBERS = 8_000_000
_MOST_BLOCK_ROWS = 512


@dataclass(frozen=True, slots=True, eq=False)
class TrainingMatrix:
    """Pairs of a user and an item with any interaction before the test period, float32.

    Attributes:
        matrix: shape (n_users, n_items), weight of the pair's strongest interaction.
        ages: same sparsity, days since the pair's last interaction. Zeros are stored.
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
        """The matrix with each weight halved once per half-life of its age."""
        decay = np.exp2(-self.ages.data / half_life_days)
        return with_values(self.matrix, (self.matrix.data * decay).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Rival:
    """A model that the served system is compared with.

    Attributes:
        uses_time: the model knows when interactions happened. Others are textbook models.
        grid: the points to choose from.
        fit: yields a scorer for each point, in order. Neighbouring points share computations.
        max_items: largest catalogue that the model can take; ``None`` for any.
    """

    name: str
    uses_time: bool
    grid: tuple[Point, ...]
    fit: "Callable[[TrainingMatrix, Sequence[Point]], Iterator[ScoreItems]]"
    max_items: int | None = None


def combinations(**choices: Sequence[float]) -> tuple[Point, ...]:
    """Lists all combinations of the parameters; the last one changes fastest."""
    grid: list[Point] = [{}]
    for name, values in choices.items():
        grid = [{**point, name: value} for point in grid for value in values]
    return tuple(grid)


def grouped(points: Sequence[Point], *last: str) -> Iterator[tuple[Point, list[Point]]]:
    """Groups neighbours that differ only in ``last``: shared parameters, and the points."""

    def shared(point: Point) -> Point:
        return {name: value for name, value in point.items() if name not in last}

    for common, members in groupby(points, shared):
        yield common, list(members)


def blocks(n: int, width: int) -> Iterator[slice]:
    """Cuts n rows into blocks, so that a dense block of this width stays within 64 MB."""
    step = max(1, min(_MOST_BLOCK_ROWS, _BLOCK_NUMBERS // max(width, 1)))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def with_values(matrix: csr_array, values: NDArray[np.floating]) -> csr_array:
    """Matrix with the sparsity of another one, and other values."""
    return csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)


def scaled_rows(matrix: csr_array, factors: NDArray[np.floating]) -> csr_array:
    """Multiplies each row by its factor, shape (n_rows,)."""
    return with_values(matrix, matrix.data * np.repeat(factors, np.diff(matrix.indptr)))


def inverse(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Divides one by each value; zero gives zero."""
    inverses = np.zeros(len(values))
    np.divide(1.0, values, out=inverses, where=values != 0)
    return inverses
