"""Weights interactions by their age."""

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.units import DAY_S


def decay(
    happened_at: NDArray[np.float64], at: float, half_life_days: float
) -> NDArray[np.float32]:
    """Weights, float32: 1 at the moment ``at``, 1/2 at one half-life before it."""
    age_days = (at - happened_at) / DAY_S
    return np.exp2(-age_days / half_life_days).astype(np.float32)
