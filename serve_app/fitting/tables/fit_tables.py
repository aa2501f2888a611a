"""Fits all candidate tables: neighbours of items, buyers, baskets, weights and trends."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Rows
from serve_app.arrays.ragged import Offsets
from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.interactions import TYPE_WEIGHTS, InteractionLog
from serve_app.fitting.data.labels import BOUGHT, Label
from serve_app.fitting.data.pairs import Pairs, find_pairs, latest_first
from serve_app.fitting.data.windows import select_interactions
from serve_app.fitting.tables.decaying import decay
from serve_app.fitting.tables.factors import fit_factors
from serve_app.fitting.tables.linear import fit_linear_weights
from serve_app.fitting.tables.neighbours import find_neighbours
from serve_app.fitting.tables.pair_tables import find_pair_steps
from serve_app.fitting.tables.popularity_tables import count_periods, order_catalogue
from serve_app.fitting.tables.session_tables import collect_sessions
from serve_app.fitting.tables.session_training import train_session_model
from serve_app.fitting.tables.tables_config import TablesConfig
from serve_app.fitting.tables.transition_tables import find_transitions
from serve_app.fitting.tables.vectors import (
    compute_content_matrix,
    compute_content_vectors,
)
from serve_app.recommending.scoring.model_features import TREND_DAYS


def fit_tables(
    catalogue: Catalogue,
    log: InteractionLog,
    at: float,
    config: TablesConfig,
    label: Label = BOUGHT,
) -> CandidateTables:
    """Fits the tables of all sources at one moment.

    Args:
        catalogue: its popularity, categories and ages give the orders.
        log: interactions that were known; users keep its numbers.
        at: epoch seconds, the moment of the tables.
        label: its interactions make buyers and baskets.
    """
    # Items that are gone would take positions that no source may offer.
    log = select_interactions(log, catalogue.listed[log.rows])
    n_rows, n_users = len(catalogue), len(log.user_ids)
    bought = find_pairs(select_interactions(log, label.counts(log)), TYPE_WEIGHTS)
    touched = find_pairs(log, TYPE_WEIGHTS)
    content = compute_content_matrix(catalogue)
    factors = fit_factors(touched, n_rows, n_users, config)
    periods = count_periods(log, n_rows, at, config.period_days, config.max_periods)
    return CandidateTables(
        until_at=np.array([at], np.float64),
        source_weights=np.array(config.source_weights, np.float32),
        **order_catalogue(catalogue)._asdict(),
        **find_neighbours(touched, n_rows, n_users, config)._asdict(),
        **find_transitions(log, n_rows, at, config)._asdict(),
        **train_session_model(log, n_rows, config)._asdict(),
        **find_pair_steps(log, n_rows, at, config)._asdict(),
        **collect_sessions(log, n_rows, config)._asdict(),
        **collect_baskets(bought, n_rows, n_users, at, config)._asdict(),
        **fit_linear_weights(touched, n_rows, n_users, content.weights, config)._asdict(),
        trends=compute_trends(touched, n_rows, at, config),
        recent_trends=compute_recent_trends(touched, n_rows, at),
        **factors._asdict(),
        **compute_content_vectors(content, config.content_dim)._asdict(),
        ending_types=label.ending_types,
        **periods._asdict(),
    )


class Baskets(NamedTuple):
    """Fields of ``domain.candidate_tables.CandidateTables``."""

    buyer_offsets: Offsets
    buyers: NDArray[np.int32]
    basket_offsets: Offsets
    basket_rows: Rows
    basket_weights: NDArray[np.float32]


def collect_baskets(
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


def compute_trends(
    pairs: Pairs, n_rows: int, at: float, config: TablesConfig
) -> NDArray[np.float32]:
    """Recent share of an item's users, to a power, shape (n_rows,), float32, above 0."""
    shares = compute_recent_shares(pairs, n_rows, at, config.trend_half_life_days)
    return (shares**config.trend_exponent).astype(np.float32)


def compute_recent_trends(pairs: Pairs, n_rows: int, at: float) -> NDArray[np.float32]:
    """Recent share at each half-life of ``TREND_DAYS``, shape (n_rows, len(TREND_DAYS))."""
    shares = [compute_recent_shares(pairs, n_rows, at, days) for days in TREND_DAYS]
    return np.column_stack(shares).astype(np.float32)


def compute_recent_shares(
    pairs: Pairs, n_rows: int, at: float, half_life_days: float
) -> NDArray[np.float64]:
    """Share of an item's users who came lately, shape (n_rows,), float64, above 0."""
    weights = pairs.weights * decay(pairs.at, at, half_life_days)
    late = np.bincount(pairs.rows, weights, minlength=n_rows)
    ever = np.bincount(pairs.rows, pairs.weights, minlength=n_rows)
    # The prior keeps items without users above 0 and pulls items with few users towards it.
    return np.asarray((late + 0.01) / (ever + 1), np.float64)
