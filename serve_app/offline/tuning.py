"""Chooses how fast the past is forgotten, on the outcomes of a window that the tables do not know.

Every point of a small grid is measured with the source that serves, one after the other: first the
half-life of the neighbours' votes, then the autoencoder and its trend, then the popularity.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np

from serve_app.domain.allowed import AllowedItems
from serve_app.domain.batches import RequestBatch
from serve_app.domain.candidates import CandidatesConfig, queries_of
from serve_app.domain.columns import Rows
from serve_app.domain.metrics import ndcg_at
from serve_app.domain.profiles import TYPE_WEIGHTS, profiles_of, within
from serve_app.domain.sources.autoencoder import autoencoder
from serve_app.domain.sources.query import Query
from serve_app.domain.sources.similar_users import similar_users
from serve_app.domain.tables import CandidateTables
from serve_app.offline.labels import WANTED
from serve_app.offline.pairs import latest_first, pairs_of
from serve_app.offline.snapshot import Snapshot, SnapshotConfig
from serve_app.offline.tables import TablesConfig, decay, linear_of, trends
from serve_app.offline.windows import Outcomes, chosen, sample
from serve_app.stores.warehouse import InteractionLog

HALF_LIVES_DAYS = (3.0, 7.0, 14.0, 30.0, 90.0, 365.0)
EXPONENTS = (0.5, 1.0)
REGULARIZATIONS = (100.0, 300.0, 1_000.0)

_K = 10
_BATCH = 256


def tuned(
    world: Snapshot,
    log: InteractionLog,
    found: Outcomes,
    config: SnapshotConfig,
    candidates: CandidatesConfig,
    n_users: int,
    seed: int,
) -> SnapshotConfig:
    """
    The settings of the grid with the largest NDCG@10; of equals, the earlier. Those that were given
    where nobody came back.

    Args:
        world: fitted before the window of ``found``.
        log: what the world knows.
        found: outcomes of the window.
        n_users: that the points are measured with.
    """
    log = chosen(log, world.catalogue.listed[log.rows])
    trial = _Trial(world, log, sample(found, n_users, seed), candidates)
    if not trial.n_users:
        return config
    tables = trial.best_votes(config.tables)
    tables = trial.best_linear(tables)
    half_life_days = trial.best_popularity()
    popularity = config.popularity.model_copy(update={"half_life_days": half_life_days})
    return config.model_copy(update={"tables": tables, "popularity": popularity})


class _Trial:
    """What all points are measured with: the queries of some users, and what they bought."""

    def __init__(
        self,
        world: Snapshot,
        log: InteractionLog,
        found: Outcomes,
        candidates: CandidatesConfig,
    ) -> None:
        bought = [
            found.rows[start:end][found.strengths[start:end] == WANTED]
            for start, end in zip(found.offsets[:-1], found.offsets[1:], strict=True)
        ]
        has_history = np.bincount(log.users, minlength=len(log.user_ids))[found.users] > 0
        buyers = [i for i, rows in enumerate(bought) if len(rows) and has_history[i]]
        self._bought = [bought[i] for i in buyers]
        self._world, self._log, self._candidates = world, log, candidates
        self._touched = pairs_of(log, TYPE_WEIGHTS)
        self._queries = list(_queries(found.users[buyers], world, candidates))

    @property
    def n_users(self) -> int:
        return len(self._queries)

    def best_votes(self, config: TablesConfig) -> TablesConfig:
        wanted = self._world.label.counts(self._log)
        own = pairs_of(chosen(self._log, wanted), TYPE_WEIGHTS)
        kept, _ = latest_first(
            own.users, own.rows, own.at, len(self._log.user_ids), config.max_items_per_user
        )
        points = [
            config.model_copy(update={"votes_half_life_days": days}) for days in HALF_LIVES_DAYS
        ]
        scores = []
        for point in points:
            weights = decay(own.at[kept], self._world.at, point.votes_half_life_days)
            tables = replace(self._world.tables, basket_weights=weights)
            scores.append(
                self._ndcg(
                    tables, lambda query: similar_users(query, self._candidates.similar_users).rows
                )
            )
        return points[int(np.argmax(scores))]

    def best_linear(self, config: TablesConfig) -> TablesConfig:
        n_rows, n_users = len(self._world.catalogue), len(self._log.user_ids)
        points: list[TablesConfig] = []
        scores: list[float] = []
        for regularization in REGULARIZATIONS:
            base = config.model_copy(update={"regularization": regularization})
            linear = linear_of(self._touched, n_rows, n_users, base)
            for days, exponent in product(HALF_LIVES_DAYS, EXPONENTS):
                point = base.model_copy(
                    update={"trend_half_life_days": days, "trend_exponent": exponent}
                )
                tables = replace(
                    self._world.tables,
                    linear_offsets=linear.offsets,
                    linear_rows=linear.rows,
                    linear_weights=linear.weights,
                    trends=trends(self._touched, n_rows, self._world.at, point),
                )
                points.append(point)
                scores.append(
                    self._ndcg(
                        tables, lambda query: autoencoder(query, self._candidates.autoencoder).rows
                    )
                )
        return points[int(np.argmax(scores))]

    def best_popularity(self) -> float:
        log, world = self._log, self._world
        n_rows = len(world.catalogue)
        scores = []
        for days in HALF_LIVES_DAYS:
            weights = TYPE_WEIGHTS[log.types] * decay(log.at, world.at, days)
            sums = np.bincount(log.rows, weights, minlength=n_rows)
            order = np.lexsort((np.arange(n_rows), -sums))[: 50 * _K].astype(np.int32)
            scores.append(self._ndcg(world.tables, partial(_first_allowed, order)))
        return HALF_LIVES_DAYS[int(np.argmax(scores))]

    def _ndcg(self, tables: CandidateTables, rows_of: Callable[[Query], Rows]) -> float:
        hits = np.zeros((len(self._queries), _K), bool)
        for i, (query, bought) in enumerate(zip(self._queries, self._bought, strict=True)):
            rows = rows_of(replace(query, tables=tables))[:_K]
            hits[i, : len(rows)] = np.isin(rows, bought)
        n_bought = np.array([len(rows) for rows in self._bought])
        return float(ndcg_at(hits, n_bought, _K).mean())


def _first_allowed(order: Rows, query: Query) -> Rows:
    return query.allowed.first(order, _K)


def _queries(users: Rows, world: Snapshot, config: CandidatesConfig) -> Iterator[Query]:
    allowed = AllowedItems(world.catalogue, include_out_of_stock=True)
    for start in range(0, len(users), _BATCH):
        part = users[start : start + _BATCH]
        n = len(part)
        batch = RequestBatch("", ("",) * n, np.full(n, _K, np.int32), (None,) * n, world.at)
        histories = within(world.archive.of_rows(part, stale=False), world.catalogue)
        profiles = profiles_of(
            histories,
            world.catalogue,
            world.tables.content_vectors,
            world.at,
            config.half_life_days,
        )
        yield from queries_of(batch, histories, profiles, world.catalogue, world.tables, allowed)
