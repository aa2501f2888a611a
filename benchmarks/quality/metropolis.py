"""Draws from densities that are known up to a constant, for many users at once."""

from collections.abc import Callable

import numpy as np

from serve_app.demo.tastes import Floats

Density = Callable[[Floats], Floats]
"""Log-densities, shape (n_users,), of states of shape (n_users, d)."""

_TARGET = 0.25
_ADAPT_EVERY = 25
_FIRST_STEP = 0.3


def draw(
    density: Density, start: Floats, n_steps: int, n_draws: int, rng: np.random.Generator
) -> list[Floats]:
    """
    Draw states by random-walk Metropolis, one chain per user (Metropolis et al., 1953).

    The first third of the steps is thrown away. It adapts each user's step length until a quarter
    of the proposals are accepted (Roberts, Gelman and Gilks, Annals of Applied Probability 1997).

    Args:
        start: shape (n_users, d).
        n_steps: at least three per draw.

    Returns:
        ``n_draws`` states, evenly spaced.
    """
    state, log_density = start, density(start)
    length = np.full(len(start), _FIRST_STEP)
    n_accepted = np.zeros(len(start))
    n_warm = n_steps // 3
    kept_after = {n_warm + (i + 1) * (n_steps - n_warm) // n_draws for i in range(n_draws)}
    draws = []
    for step in range(1, n_steps + 1):
        proposed = state + length[:, None] * rng.standard_normal(state.shape)
        proposed_log = density(proposed)
        accepted = np.log(rng.random(len(state))) < proposed_log - log_density
        state = np.where(accepted[:, None], proposed, state)
        log_density = np.where(accepted, proposed_log, log_density)
        n_accepted += accepted
        if step <= n_warm and step % _ADAPT_EVERY == 0:
            length *= np.exp(n_accepted / _ADAPT_EVERY - _TARGET)
            n_accepted[:] = 0
        if step in kept_after:
            draws.append(state)
    return draws
