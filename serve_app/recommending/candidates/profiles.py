"""Computes profiles and factors of users from their events, at the time of the request.

Neither is fitted per user, therefore a click counts in the next answer. The fit only gives each
item the factors that it adds to its users.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Rows
from serve_app.arrays.grouping import strongest_by_key
from serve_app.arrays.patches import Matrix
from serve_app.arrays.ragged import offsets_of, owners, sum_of_each
from serve_app.arrays.units import DAY_S
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.interactions import TYPE_WEIGHTS, Histories
from serve_app.recommending.scoring.model_features import LOG_BUYERS


@dataclass(frozen=True, slots=True)
class Profiles:
    """Interests and habits of users, computed from their events.

    Attributes:
        weights: shape (n_events,), float32, see ``event_weights``.
        category_shares: shape (n_users, max(n_categories, 1)), float32, sums of 1, or of 0 without
            history.
        tastes: shape (n_users, d), float32, weighted mean of item vectors, unit length or zero.
        contents: shape (n_users, c), float32, mean of content vectors, unit length or zero.
        log_prices: shape (n_users,), float32, weighted mean of log(1 + price); NaN unknown.
        log_buyers: shape (n_users,), float32, mean of the items' logarithm of buyers; NaN unknown.
    """

    weights: NDArray[np.float32]
    category_shares: NDArray[np.float32]
    tastes: NDArray[np.float32]
    contents: NDArray[np.float32]
    log_prices: NDArray[np.float32]
    log_buyers: NDArray[np.float32]


def drop_unknown_items(histories: Histories, catalogue: Catalogue) -> Histories:
    """The histories without events on items that are newer than the catalogue."""
    return histories.where(histories.events["row"] < len(catalogue))


def event_weights(
    histories: Histories, at: NDArray[np.float64], half_life_days: float
) -> NDArray[np.float32]:
    """Weights of the events by their type, halved every ``half_life_days``; shape (n_events,).

    The moments ``at`` have shape (n_users,).
    """
    events = histories.events
    # An event later than ``at``, by the clock of another machine, counts fully.
    age_days = np.maximum(at[owners(histories.offsets)] - events["at"], 0.0) / DAY_S
    decay = np.exp2(-age_days / half_life_days).astype(np.float32)
    weights: NDArray[np.float32] = TYPE_WEIGHTS[events["type"]] * decay
    return weights


def profiles_of(
    histories: Histories,
    catalogue: Catalogue,
    content_vectors: Matrix,
    at: NDArray[np.float64],
    half_life_days: float,
) -> Profiles:
    """Profiles at epoch seconds, shape (n_users,), of events on rows of the catalogue only; see
    ``drop_unknown_items``. Content vectors have shape (len(catalogue), c).
    """
    rows, users = histories.events["row"], owners(histories.offsets)
    weights = event_weights(histories, at, half_life_days)
    # Without categories there is one column of zeros: ``MISSING`` (-1) needs a column to read.
    n_categories = max(catalogue.categories.n_words, 1)
    codes = catalogue.categories.codes[rows]
    known = codes >= 0
    # One dense count over users and categories; ``bincount`` adds up in float64.
    totals = np.bincount(
        users[known] * n_categories + codes[known],
        weights=weights[known],
        minlength=len(histories) * n_categories,
    ).reshape(len(histories), n_categories)
    return Profiles(
        weights,
        _divide_rows(totals, totals.sum(axis=1)),
        _tastes(histories, catalogue.vectors, weights),
        _tastes(histories, content_vectors, weights),
        _means(users, weights, np.log1p(catalogue.number("price")[rows]), len(histories)),
        _means(users, weights, catalogue.features[rows, LOG_BUYERS], len(histories)),
    )


def user_factors(histories: Histories, factors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums the factors that the user's items add, shape (n_users, d).

    Each item counts once, by its heaviest event. All events are on rows of ``factors``, of shape
    (n_rows, d).
    """
    n_users, n_rows = len(histories), len(factors)
    weights = TYPE_WEIGHTS[histories.events["type"]]
    taken, strongest = strongest_by_key(histories.keys(n_rows), weights)
    added = weights[strongest, None] * factors[histories.events["row"][strongest]]
    # Ascending keys lie user by user. An empty catalogue has no keys, but still divides.
    offsets = offsets_of(np.bincount(taken // max(n_rows, 1), minlength=n_users))
    return np.asarray(sum_of_each(added, offsets), np.float32)


def affinities(
    rows: Rows,
    requests: NDArray[np.int64],
    of_users: NDArray[np.float32],
    factors: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Affinity of each candidate to its user, shape (n,): the product of their factors.

    Args:
        rows: shape (n,).
        requests: shape (n,), the number of each candidate's user.
        of_users: shape (n_users, d).
        factors: shape (n_rows, d), of ``CandidateTables.factors_out``.
    """
    # One product per pair; a matmul would also multiply users with the items of others.
    return np.asarray(np.einsum("ij,ij->i", of_users[requests], factors[rows]), np.float32)


def _tastes(
    histories: Histories, vectors: Matrix, weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    weighted = weights[:, None] * vectors[histories.events["row"]]
    # Not divided by the weights: the division by the length makes up for it.
    means = sum_of_each(weighted, histories.offsets)
    return _divide_rows(means, np.sqrt(np.einsum("ij,ij->i", means, means)))


def _means(
    users: NDArray[np.int64],
    weights: NDArray[np.float32],
    values: NDArray[np.floating],
    n_users: int,
) -> NDArray[np.float32]:
    # An item without a price must not turn the mean of its user into NaN.
    known = np.isfinite(values)
    users, weights = users[known], weights[known]
    sums = np.bincount(users, weights * values[known], minlength=n_users)
    totals = np.bincount(users, weights, minlength=n_users)
    means = np.divide(sums, totals, out=np.full(n_users, np.nan), where=totals > 0)
    return np.asarray(means, np.float32)


def _divide_rows(matrix: NDArray[np.number], divisors: NDArray[np.floating]) -> NDArray[np.float32]:
    # Users without history keep rows of zeros, which all products ignore; NaN would spread.
    nonzero = divisors[:, None] > 0
    quotients = np.zeros(matrix.shape, np.float32)
    np.divide(matrix, divisors[:, None], out=quotients, where=nonzero, casting="same_kind")
    return quotients
