"""Draws from a density that is known up to a constant, for many users side by side."""

from collections.abc import Callable

import numpy as np

from serve_app.demo.tastes import Floats

Density = Callable[[Floats], Floats]
"""Logarithms, shape (n_users,), of how likely states of shape (n_users, d) are."""

_TARGET = 0.25
_ADAPT_EVERY = 25
_FIRST_STEP = 0.3


def sampled(
    density: Density, start: Floats, n_steps: int, n_draws: int, rng: np.random.Generator
) -> list[Floats]:
    """
    Random-walk Metropolis, a chain for each user (Metropolis et al., 1953). In the first third of
    the steps, which is thrown away, each user's step length is led to where a quarter of the
    proposals are taken (Roberts, Gelman and Gilks, Annals of Applied Probability 1997).

    Args:
        start: shape (n_users, d).
        n_steps: at least three for each draw.

    Returns:
        ``n_draws`` states, evenly spaced.
    """
    state, likely = start, density(start)
    length = np.full(len(start), _FIRST_STEP)
    n_taken = np.zeros(len(start))
    n_warm = n_steps // 3
    kept_after = {n_warm + (i + 1) * (n_steps - n_warm) // n_draws for i in range(n_draws)}
    draws = []
    for step in range(1, n_steps + 1):
        proposed = state + length[:, None] * rng.standard_normal(state.shape)
        instead = density(proposed)
        taken = np.log(rng.random(len(state))) < instead - likely
        state = np.where(taken[:, None], proposed, state)
        likely = np.where(taken, instead, likely)
        n_taken += taken
        if step <= n_warm and step % _ADAPT_EVERY == 0:
            length *= np.exp(n_taken / _ADAPT_EVERY - _TARGET)
            n_taken[:] = 0
        if step in kept_after:
            draws.append(state)
    return draws
