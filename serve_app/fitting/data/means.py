"""Computes means of the values of each item, user or category."""

import numpy as np
from numpy.typing import NDArray


def compute_means(
    owners: NDArray[np.integer], values: NDArray[np.floating], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and number of the finite values of each owner, shapes (n,); the mean of none is NaN."""
    finite = np.isfinite(values)
    owners, values = owners[finite], values[finite]
    counts = np.bincount(owners, minlength=n).astype(float)
    means = np.full(n, np.nan)
    np.divide(np.bincount(owners, values, minlength=n), counts, out=means, where=counts > 0)
    return means, counts
