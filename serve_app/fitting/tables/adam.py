"""Minimises a function by noisy gradients that concern few rows of its arguments at a time."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_KEPT, _KEPT_SQUARES = np.float32(0.9), np.float32(0.999)
"""Shares of the earlier means that are kept at each update."""

_TINY = 1e-8


class Adam:
    """Adam (Kingma and Ba, ICLR 2015) on an array, which it changes in place.

    Each row is minimised by itself and counts its own updates: one takes the same time whatever the
    number of rows is.
    """

    def __init__(self, array: Floats) -> None:
        self._array = array
        self._means, self._squares = np.zeros_like(array), np.zeros_like(array)
        # One count per row, of a shape that divides rows.
        self._n_updates = np.zeros((len(array), *[1] * (array.ndim - 1)), np.float32)

    def update(self, rows: NDArray[np.integer], gradients: Floats, rate: float) -> None:
        """Moves some rows against their gradients, each number by about ``rate`` at most.

        Args:
            rows: shape (n,), distinct.
            gradients: shape (n, ...), as the rows of the array.
        """
        n_updates, means, squares = (
            each[rows] for each in (self._n_updates, self._means, self._squares)
        )
        n_updates += 1
        means += (1 - _KEPT) * (gradients - means)
        squares += (1 - _KEPT_SQUARES) * (gradients * gradients - squares)
        self._n_updates[rows], self._means[rows], self._squares[rows] = n_updates, means, squares
        # Both means begin at zero, and are too small at first.
        means /= 1 - _KEPT**n_updates
        squares /= 1 - _KEPT_SQUARES**n_updates
        self._array[rows] -= rate * means / (np.sqrt(squares) + _TINY)
