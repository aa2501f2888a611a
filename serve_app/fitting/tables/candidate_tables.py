"""Fits the candidate tables: what users did as neighbours of items, buyers, baskets, weights."""

from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_array

from serve_app.arrays.columns import Rows
from serve_app.arrays.grouping import best
from serve_app.arrays.ragged import Offsets, offsets_of
from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.interactions import TYPE_WEIGHTS, InteractionLog
from serve_app.domain.scoring.model_features import DAY_S, SOURCES, TREND_DAYS
from serve_app.domain.settings import Settings
from serve_app.fitting.data.labels import BOUGHT, Label
from serve_app.fitting.data.pairs import Pairs, latest_first, pairs_of
from serve_app.fitting.data.windows import chosen
from serve_app.fitting.tables.linear import LinearWeights, linear_weights
from serve_app.fitting.tables.popularity_tables import orders_of, periods_of
from serve_app.fitting.tables.vectors import content_matrix, content_vectors, item_factors

_BLOCK_ROWS = 512


class TablesConfig(Settings):
    """
    Attributes:
        max_buyers_per_item: the latest that are kept.
        max_items_per_user: the latest that are kept, for baskets and for neighbours.
        max_neighbours: of an item.
        max_linear_items: the most-bought items for which the linear autoencoder is fitted.
        max_linear_weights: of each of them.
        regularization: of the linear autoencoder; chosen by the fit.
        content_weight: how many users a word of the items counts for, in the linear autoencoder;
            chosen by the fit.
        votes_half_life_days: after how long a neighbour's purchase counts half; chosen by the fit.
        trend_half_life_days: what "lately" is for the trend of an item; chosen by the fit.
        trend_exponent: how much the trend scales the autoencoder; chosen by the fit.
        source_weights: how much the ranks of each source count when they are fused, in the order of
            ``SOURCES``; chosen by the fit.
        factors_dim: length of the factors of items and users.
        factors_shrinkage: taken from their strengths, as a share of the largest.
        content_dim: length of the vectors of the items' words.
        shrinkage: added to the product of the norms, so that a chance meeting of two rare items is
            no similarity.
        period_days: length of the periods in which what a user took is held against what everybody
            took.
        max_periods: the latest that are kept.
    """

    max_buyers_per_item: int = Field(default=500, ge=1)
    max_items_per_user: int = Field(default=200, ge=1)
    max_neighbours: int = Field(default=50, ge=1)
    max_linear_items: int = Field(default=6_000, ge=2)
    max_linear_weights: int = Field(default=300, ge=1)
    regularization: float = Field(default=1_000.0, gt=0)
    content_weight: float = Field(default=30.0, ge=0)
    votes_half_life_days: float = Field(default=7.0, gt=0)
    trend_half_life_days: float = Field(default=7.0, gt=0)
    trend_exponent: float = Field(default=1.0, ge=0)
    source_weights: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default=(0.3, 1.0, 0.3, 0.2, 0.2, 0.3), min_length=len(SOURCES), max_length=len(SOURCES)
    )
    factors_dim: int = Field(default=64, ge=1, le=512)
    factors_shrinkage: float = Field(default=0.1, ge=0, lt=1)
    content_dim: int = Field(default=64, ge=1, le=512)
    shrinkage: float = Field(default=0.5, ge=0)
    period_days: float = Field(default=7.0, gt=0)
    max_periods: int = Field(default=60, ge=1)


def candidate_tables(
    catalogue: Catalogue,
    log: InteractionLog,
    at: float,
    config: TablesConfig,
    label: Label = BOUGHT,
) -> CandidateTables:
    """
    Args:
        at: epoch seconds, the moment of the tables.
        catalogue: its popularity, categories and ages give the orders.
        log: what was known; users keep its numbers.
        label: whose interactions make buyers and baskets.
    """
    log = chosen(log, catalogue.listed[log.rows])
    n_rows, n_users = len(catalogue), len(log.user_ids)
    bought = pairs_of(chosen(log, label.counts(log)), TYPE_WEIGHTS)
    touched = pairs_of(log, TYPE_WEIGHTS)
    near = neighbours(touched, n_rows, n_users, config)
    content = content_matrix(catalogue)
    linear = linear_of(touched, n_rows, n_users, content, config)
    factors = item_factors(touched, n_rows, n_users, config.factors_dim, config.factors_shrinkage)
    periods = periods_of(log, n_rows, at, config.period_days, config.max_periods)
    return CandidateTables(
        source_weights=np.array(config.source_weights, np.float32),
        **orders_of(catalogue)._asdict(),
        neighbour_offsets=near.offsets,
        neighbour_rows=near.rows,
        neighbour_scores=near.scores,
        **baskets_of(bought, n_rows, n_users, at, config)._asdict(),
        linear_offsets=linear.offsets,
        linear_rows=linear.rows,
        linear_weights=linear.weights,
        trends=trends(touched, n_rows, at, config),
        recent_trends=recent_trends(touched, n_rows, at),
        factors_in=factors.taken,
        factors_out=factors.offered,
        content_vectors=content_vectors(content, config.content_dim),
        ending_types=label.ending_types,
        period_starts_at=periods.starts_at,
        period_counts=periods.counts,
        period_totals=periods.totals,
        period_users=periods.users,
    )


class Baskets(NamedTuple):
    """Fields of ``domain.candidate_tables.CandidateTables``."""

    buyer_offsets: Offsets
    buyers: NDArray[np.int32]
    basket_offsets: Offsets
    basket_rows: Rows
    basket_weights: NDArray[np.float32]


def baskets_of(
    bought: Pairs, n_rows: int, n_users: int, at: float, config: TablesConfig
) -> Baskets:
    """The latest buyers of each item and the latest items of each user."""
    buyers, buyer_offsets = latest_first(
        bought.rows, bought.users, bought.at, n_rows, config.max_buyers_per_item
    )
    basket, basket_offsets = latest_first(
        bought.users, bought.rows, bought.at, n_users, config.max_items_per_user
    )
    return Baskets(
        buyer_offsets=buyer_offsets,
        buyers=bought.users[buyers],
        basket_offsets=basket_offsets,
        basket_rows=bought.rows[basket],
        basket_weights=decay(bought.at[basket], at, config.votes_half_life_days),
    )


def decay(
    happened_at: NDArray[np.float64], at: float, half_life_days: float
) -> NDArray[np.float32]:
    """One at the moment ``at``, half at one half-life before it."""
    age_days = (at - happened_at) / DAY_S
    return np.exp2(-age_days / half_life_days).astype(np.float32)


def trends(pairs: Pairs, n_rows: int, at: float, config: TablesConfig) -> NDArray[np.float32]:
    """The share of its users that an item has had lately, to a power, shape (n_rows,), above 0."""
    shares = shares_lately(pairs, n_rows, at, config.trend_half_life_days)
    return (shares**config.trend_exponent).astype(np.float32)


def recent_trends(pairs: Pairs, n_rows: int, at: float) -> NDArray[np.float32]:
    """The same share at each of ``TREND_DAYS``, shape (n_rows, len(TREND_DAYS))."""
    shares = [shares_lately(pairs, n_rows, at, days) for days in TREND_DAYS]
    return np.column_stack(shares).astype(np.float32)


def shares_lately(
    pairs: Pairs, n_rows: int, at: float, half_life_days: float
) -> NDArray[np.float64]:
    """The share of its users that each item has had lately, shape (n_rows,), above 0."""
    weights = pairs.weights * decay(pairs.at, at, half_life_days)
    late = np.bincount(pairs.rows, weights, minlength=n_rows)
    ever = np.bincount(pairs.rows, pairs.weights, minlength=n_rows)
    return np.asarray((late + 0.01) / (ever + 1), np.float64)


def linear_of(
    pairs: Pairs, n_rows: int, n_users: int, content: csr_array, config: TablesConfig
) -> LinearWeights:
    return linear_weights(
        pairs,
        n_rows,
        n_users,
        content,
        config.content_weight,
        config.regularization,
        config.max_linear_items,
        config.max_linear_weights,
    )


class Neighbours(NamedTuple):
    """
    Attributes:
        offsets: shape (n_rows + 1,), int64.
        rows: shape (total,), int32, best first.
        scores: shape (total,), float32, in (0, 1].
    """

    offsets: Offsets
    rows: Rows
    scores: NDArray[np.float32]


def neighbours(pairs: Pairs, n_rows: int, n_users: int, config: TablesConfig) -> Neighbours:
    """
    The items whose users are most alike: cosine of the items' columns of the user-item matrix,
    shrunk (Sarwar et al., WWW 2001). Users with many items count less for each pair of them.
    """
    matrix = _user_item_matrix(pairs, n_rows, n_users, config)
    by_item = matrix.T.tocsr()
    norms = np.sqrt(by_item.multiply(by_item).sum(axis=1))
    found: list[tuple[Rows, NDArray[np.float32]]] = []
    for start in range(0, n_rows, _BLOCK_ROWS):
        products = by_item[start : start + _BLOCK_ROWS] @ matrix
        for i in range(products.shape[0]):
            own = slice(products.indptr[i], products.indptr[i + 1])
            rows, dots = products.indices[own], products.data[own]
            other = rows != start + i
            rows, dots = rows[other], dots[other]
            scores = dots / (norms[start + i] * norms[rows] + config.shrinkage)
            top = best(rows, scores, config.max_neighbours)
            found.append((rows[top].astype(np.int32), scores[top].astype(np.float32)))
    return Neighbours(
        offsets_of([len(rows) for rows, _ in found]),
        np.concatenate([rows for rows, _ in found]),
        np.concatenate([scores for _, scores in found]),
    )


def _user_item_matrix(pairs: Pairs, n_rows: int, n_users: int, config: TablesConfig) -> csr_array:
    kept, offsets = latest_first(
        pairs.users, pairs.rows, pairs.at, n_users, config.max_items_per_user
    )
    lengths = np.diff(offsets)
    values = pairs.weights[kept] / np.sqrt(np.repeat(lengths, lengths))
    shape = (n_users, n_rows)
    return csr_array((values.astype(np.float64), pairs.rows[kept], offsets), shape=shape)
