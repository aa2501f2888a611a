"""Chooses settings of the sources on the outcomes of a window that the tables do not know.

Settings are chosen one after the other, each with the source that uses it. They are the half-life
of similar users' purchases, the settings of the autoencoder, and the half-life of popularity. The
weights of the sources' ranks are chosen by the recall of the fused candidates.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Rows
from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.interactions import TYPE_WEIGHTS, InteractionLog
from serve_app.fitting.data.outcomes import Outcomes, sample
from serve_app.fitting.data.windows import select_before, select_interactions
from serve_app.fitting.judging.window_results import count_wanted
from serve_app.fitting.moments.snapshot import Snapshot, SnapshotConfig
from serve_app.fitting.tables.decaying import decay
from serve_app.fitting.tables.tables_config import TablesConfig
from serve_app.fitting.tuning.trial_tables import TrialTables
from serve_app.fitting.tuning.trial_users import K, Ragged, TrialUsers
from serve_app.recommending.candidates.finding import CandidatesConfig, ask_sources
from serve_app.recommending.candidates.fusion import merge
from serve_app.recommending.candidates.profiles import user_factors
from serve_app.recommending.candidates.sources.autoencoder import autoencoder
from serve_app.recommending.candidates.sources.query import Queries, best_hits
from serve_app.recommending.candidates.sources.similar_users import similar_users
from serve_app.recommending.scoring.model_features import SOURCES

HALF_LIVES_DAYS = (3.0, 7.0, 14.0, 30.0, 90.0, 365.0)
EXPONENTS = (0.5, 1.0)
REGULARIZATIONS = (30.0, 100.0, 300.0, 1_000.0, 3_000.0)
CONTENT_WEIGHTS = (0.0, 3.0, 10.0, 30.0, 100.0)
SOURCE_WEIGHTS = (0.0, 0.1, 0.3, 1.0)
FACTORS_REGULARIZATIONS = (10.0, 15.0, 20.0, 30.0)

FEW_USERS = 200
"""With fewer known users, another form of the factors is taken if it is better: those in closed
form may repeat what so few users took, instead of what they have in common."""

_BATCH = 64
_N_ROUNDS = 2

Changes = Mapping[str, float]


def tune_sources(
    snapshot: Snapshot,
    log: InteractionLog,
    outcomes: Outcomes,
    config: SnapshotConfig,
    candidates: CandidatesConfig,
    n_users: int,
    seed: int,
) -> SnapshotConfig:
    """Chooses the settings with the largest NDCG@10, and the weights with the largest recall.

    Configured values are kept unless another value is significantly better; the half-life of
    popularity is always the best one. Without returning users all configured values are kept.

    Args:
        snapshot: of the beginning of the window of ``outcomes``.
        log: with everything that users did before their moments.
        n_users: users to measure the values with.
    """
    trial = _Trial(
        snapshot, log, sample(outcomes, n_users, seed), candidates, config.tables.max_items_per_user
    )
    if not trial.n_users:
        return config
    tables = trial.best_factors(trial.best_linear(trial.best_votes(config.tables)))
    tables = trial.best_weights(tables)
    half_life_days = trial.best_popularity()
    popularity = config.popularity.model_copy(update={"half_life_days": half_life_days})
    return config.model_copy(update={"tables": tables, "popularity": popularity})


def choose_clearly_best(
    values: Sequence[Sequence[float] | NDArray[np.float64]], n_errors: float = 2.0
) -> int:
    """Index of the point with the largest mean if its lead is significant, otherwise 0.

    A lead over the first point is significant if it exceeds ``n_errors`` standard errors of the
    users' paired differences (docs/decisions/0016). Chance among few users changes nothing.

    Args:
        values: by point, then by user.
    """
    table = np.asarray(values, np.float64)
    best = int(np.argmax(table.mean(axis=1)))
    lead = table[best] - table[0]
    if len(lead) < 2:
        return 0
    is_clear = lead.mean() > n_errors * lead.std(ddof=1) / np.sqrt(len(lead))
    return best if is_clear else 0


class _Trial:
    """Measures points with the queries of some users and the items that they then wanted."""

    def __init__(
        self,
        snapshot: Snapshot,
        log: InteractionLog,
        outcomes: Outcomes,
        candidates: CandidatesConfig,
        max_items_per_user: int,
    ) -> None:
        # Users without a history get equal lists at every point, and only add noise.
        has_history = outcomes.moments.ends > outcomes.moments.starts
        self._buyers = np.flatnonzero((count_wanted(outcomes) > 0) & has_history)
        self._parts = [
            TrialUsers.of(outcomes, self._buyers[start : start + _BATCH], log, snapshot, candidates)
            for start in range(0, len(self._buyers), _BATCH)
        ]
        known = select_before(log, snapshot.at)
        known = select_interactions(known, snapshot.fitted.catalogue.listed[known.rows])
        self._snapshot, self._log, self._candidates = snapshot, known, candidates
        self._tables = TrialTables(snapshot, known, max_items_per_user)

    @property
    def n_users(self) -> int:
        return len(self._buyers)

    def best_votes(self, config: TablesConfig) -> TablesConfig:
        points = [{"votes_half_life_days": days} for days in HALF_LIVES_DAYS]
        return self._best(config, points, self._tables.with_votes, self._similar_users)

    def best_linear(self, config: TablesConfig) -> TablesConfig:
        """One setting after the other: all combinations would take a hundred autoencoders."""
        by_time = [
            {"trend_half_life_days": days, "trend_exponent": exponent}
            for days in HALF_LIVES_DAYS
            for exponent in EXPONENTS
        ]
        by_content = [{"content_weight": weight} for weight in CONTENT_WEIGHTS]
        by_size = [{"regularization": value} for value in REGULARIZATIONS]
        # The trend comes first and last: it was chosen for other weights the first time.
        for points in (by_time, by_content, by_size, by_time):
            config = self._best(config, points, self._tables.with_linear, self._autoencoder)
        return config

    def best_factors(self, config: TablesConfig) -> TablesConfig:
        """Chooses the form of the factors where few users are known."""
        if len(np.unique(self._log.users)) >= FEW_USERS:
            return config
        points = [{"factors_regularization": value} for value in FACTORS_REGULARIZATIONS]
        # Few users prove little: the likelier form is taken, although it may be chance.
        return self._best(config, points, self._tables.with_factors, _by_factors, n_errors=0.5)

    def best_weights(self, config: TablesConfig) -> TablesConfig:
        """Chooses the weight of each source in the fusion by the recall of the candidates.

        One weight after the other, in two rounds: the best weight depends on the others.
        """
        votes = self._tables.with_votes(self._snapshot.fitted.tables, config)
        tables = self._tables.with_linear(votes, config)
        hits = [
            ask_sources(replace(part.queries, tables=tables), self._candidates)
            for part in self._parts
        ]
        limit, k = self._candidates.max_candidates, self._candidates.rrf_k
        n_rows = len(self._snapshot.fitted.catalogue)

        def recalls(weights: Sequence[float]) -> NDArray[np.float64]:
            return np.concatenate(
                [
                    part.recalls(merge(part_hits, weights, k, limit, n_rows))
                    for part_hits, part in zip(hits, self._parts, strict=True)
                ]
            )

        weights = list(config.source_weights)
        for i in [*range(len(SOURCES))] * _N_ROUNDS:
            points = [
                [*weights[:i], weight, *weights[i + 1 :]]
                for weight in (weights[i], *SOURCE_WEIGHTS)
            ]
            weights = points[choose_clearly_best([recalls(point) for point in points])]
        return config.model_copy(update={"source_weights": tuple(weights)})

    def best_popularity(self) -> float:
        log, snapshot = self._log, self._snapshot
        n_rows = len(snapshot.fitted.catalogue)
        scores = []
        for days in HALF_LIVES_DAYS:
            weights = TYPE_WEIGHTS[log.types] * decay(log.at, snapshot.at, days)
            sums = np.bincount(log.rows, weights, minlength=n_rows)
            # More than K: items that a user may not get again are skipped.
            order = np.lexsort((np.arange(n_rows), -sums))[: 50 * K].astype(np.int32)
            scores.append(self._ndcgs(snapshot.fitted.tables, partial(_first_allowed, order)))
        return HALF_LIVES_DAYS[int(np.argmax(np.mean(scores, axis=1)))]

    def _best(
        self,
        config: TablesConfig,
        points: Sequence[Changes],
        with_point: Callable[[CandidateTables, TablesConfig], CandidateTables],
        lists_of: Callable[[Queries], Ragged],
        n_errors: float = 2.0,
    ) -> TablesConfig:
        """Chooses the settings of the best point, or the old ones if no point is clearly better."""
        changed = (config.model_copy(update=dict(point)) for point in points)
        # The configured point comes first: `choose_clearly_best` keeps it unless another one leads.
        configs = list(dict.fromkeys((config, *changed)))
        tables = (with_point(self._snapshot.fitted.tables, candidate) for candidate in configs)
        values = [self._ndcgs(trial, lists_of) for trial in tables]
        return configs[choose_clearly_best(values, n_errors)]

    def _similar_users(self, queries: Queries) -> Ragged:
        hits = similar_users(queries, self._candidates.similar_users)
        return hits.rows, hits.offsets

    def _autoencoder(self, queries: Queries) -> Ragged:
        hits = autoencoder(queries, self._candidates.autoencoder)
        return hits.rows, hits.offsets

    def _ndcgs(
        self, tables: CandidateTables, lists_of: Callable[[Queries], Ragged]
    ) -> NDArray[np.float64]:
        """NDCG@10 of each user, shape (n_users,)."""
        return np.concatenate(
            [part.ndcgs(lists_of(replace(part.queries, tables=tables))) for part in self._parts]
        )


def _first_allowed(order: Rows, queries: Queries) -> Ragged:
    return queries.allowed.first(order, K)


def _by_factors(queries: Queries) -> Ragged:
    of_users = user_factors(queries.histories, queries.tables.factors_in)
    scores = (of_users @ queries.tables.factors_out.T).ravel()
    hits = best_hits(queries, np.arange(len(scores)), scores, K)
    return hits.rows, hits.offsets
