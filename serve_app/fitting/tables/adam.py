"""Minimises a function by noisy gradients that concern few rows of its arguments at a time."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_KEPT, _KEPT_SQUARES = 0.9, 0.999
"""Shares of the earlier means that are kept at each update."""

_TINY = 1e-8


class Adam:
    """Adam (Kingma and Ba, ICLR 2015) on an array, which it changes in place.

    Only rows with a gradient change, as in PyTorch's ``SparseAdam``: an update takes the same time
    whatever the number of rows is.
    """

    def __init__(self, array: Floats) -> None:
        self._array = array
        self._means, self._squares = np.zeros_like(array), np.zeros_like(array)
        self._n_updates = 0

    def update(self, rows: NDArray[np.integer], gradients: Floats, rate: float) -> None:
        """Moves some rows against their gradients, by about ``rate`` at most.

        Args:
            rows: shape (n,), distinct.
            gradients: shape (n, ...), as the rows of the array.
        """
        self._n_updates += 1
        means, squares = self._means[rows], self._squares[rows]
        means += (1 - _KEPT) * (gradients - means)
        squares += (1 - _KEPT_SQUARES) * (gradients * gradients - squares)
        self._means[rows], self._squares[rows] = means, squares
        # Both begin at zero, and are too small at first.
        scale = rate / (1 - _KEPT**self._n_updates)
        missing = 1 - _KEPT_SQUARES**self._n_updates
        self._array[rows] -= scale * means / (np.sqrt(squares / missing) + _TINY)
