"""Leans on single scores where users are too few to learn from.

A model of few users orders worse than the best of the scores it sees. The published score is then
a mean of the model and of these scores, weighted by the number of users.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from serve_app.arrays.ragged import owners
from serve_app.domain.interactions import GRADE_GAINS
from serve_app.fitting.moments.examples import Examples, have_touched
from serve_app.fitting.training.averaging import average_boosters
from serve_app.fitting.training.boosting import VariantConfig, weigh_users
from serve_app.fitting.training.rising_trees import Rise, rising_booster
from serve_app.measuring.metrics import ndcg_at, ranked_hits
from serve_app.recommending.scoring.model_features import FEATURES

SINGLES = tuple(
    f"candidate.{name}_share"
    for name in ("factors_plain", "autoencoder_plain", "recent_items", "similar_users")
)
"""Scores that can order candidates alone, as shares of the best of each request."""

_K = 10
_USERS_PER_POWER = 3.0
"""So many users raise the power by one with which the best single score outweighs the others."""

_LEAST_SHARE = 0.01
"""Single scores with a smaller share are left out: each takes 42 trees of every request."""

_N_NEWTON_STEPS = 25
_RIDGE = 1.0
_LEAST_SLOPE = 1.0


class Singles(NamedTuple):
    """Single scores beside the model of few users, each as a booster, and their weights.

    The sum of the weights is at most 1; the rest is the model's.
    """

    boosters: Sequence[bytes]
    weights: Sequence[float]

    def join(self, model: bytes) -> bytes:
        """The mean of the scores and the model; the model itself without scores."""
        if not self.boosters:
            return model
        # Objective and base score are those of the last model.
        rest = 1 - sum(self.weights)
        return average_boosters([*self.boosters, model], [*self.weights, rest])


def lean_on_singles(examples: Examples, config: VariantConfig, n_users: int) -> Singles:
    """The single scores that a model of so many users leans on; none where users are enough.

    Args:
        n_users: users of the examples.
    """
    weight = lean_weight(n_users, config.few_users)
    if not weight:
        return Singles((), ())
    shares = weigh_singles(examples, config.feature_names, n_users)
    heard = {single: share for single, share in shares.items() if share > _LEAST_SHARE}
    return Singles(
        [distil_single(examples, single, config) for single in heard],
        [weight * share for share in heard.values()],
    )


def lean_weight(n_users: int, few_users: int) -> float:
    """Weight of what a model leans on: 1 without users, 0 from ``few_users`` on."""
    return max(1.0 - n_users / few_users, 0.0) if few_users else 0.0


def weigh_singles(examples: Examples, names: tuple[str, ...], n_users: int) -> dict[str, float]:
    """Weights of the ``SINGLES``, with a sum of 1, in proportion to a power of their NDCG@10.

    The power grows with the number of users: 30 users cannot tell which score is best, and a mean
    of the good ones is safer than one of them. 100 users can.

    Args:
        names: features of the model; the result is empty if it has none of ``SINGLES``.
        n_users: users of the examples.
    """
    known = [single for single in SINGLES if single in names]
    if not known:
        return {}
    touched = examples.of_users(np.flatnonzero(have_touched(examples)))
    is_touched = touched.strengths > 0
    n_touched = np.bincount(owners(touched.offsets), is_touched, minlength=len(touched))
    columns = (touched.matrix[:, FEATURES.index(single)] for single in known)
    hits = [ranked_hits(column, is_touched, touched.offsets, _K) for column in columns]
    sums = np.array([ndcg_at(mask, n_touched.astype(np.int64), _K).sum() for mask in hits])
    # Where nobody touched anything, or no score found it, all are equal.
    shares = sums / sums.max() if sums.max() else np.ones(len(sums))
    powers = shares ** (n_users / _USERS_PER_POWER)
    return dict(zip(known, (powers / powers.sum()).tolist(), strict=True))


def distil_single(examples: Examples, single: str, config: VariantConfig) -> bytes:
    """A booster whose margin rises as the log-odds of being wanted, by the single score alone.

    Returns:
        In XGBoost's binary form (UBJSON), of the features of ``config``. Its mean margin is about
        0, because the model that it joins has a base score already.
    """
    shares = np.nan_to_num(examples.matrix[:, FEATURES.index(single)].astype(np.float64))
    labels = examples.gains / GRADE_GAINS.max()
    _, slope = fit_log_odds(shares, labels, weigh_users(examples))
    names = config.feature_names
    # A falling slope would turn the order round; chance makes it among very few users.
    slope, centre = max(slope, _LEAST_SLOPE), float(shares.mean())
    return rising_booster(Rise(names.index(single), 0.0, 1.0, slope, centre), len(names))


def fit_log_odds(
    shares: NDArray[np.float64], labels: NDArray[np.floating], weights: NDArray[np.floating]
) -> tuple[float, float]:
    """Intercept and slope of the log-odds, by Newton's method; all of shape (n,).

    Platt, "Probabilistic Outputs for Support Vector Machines", 1999; the slope is regularised.
    """
    inputs = np.column_stack((np.ones(len(shares)), shares))
    found, penalty = np.zeros(2), np.diag([1e-3, _RIDGE])
    for _ in range(_N_NEWTON_STEPS):
        odds = expit(inputs @ found)
        gradient = inputs.T @ (weights * (odds - labels)) + penalty @ found
        hessian = (inputs.T * (weights * odds * (1 - odds))) @ inputs + penalty
        found = found - np.linalg.solve(hessian, gradient)
    return float(found[0]), float(found[1])
