"""Fits the tables of a snapshot anew with other settings, as far as the trials change them."""

from dataclasses import replace

from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.interactions import TYPE_WEIGHTS, InteractionLog
from serve_app.fitting.data.pairs import find_pairs, latest_first
from serve_app.fitting.data.windows import select_interactions
from serve_app.fitting.moments.snapshot import Snapshot
from serve_app.fitting.tables.decaying import decay
from serve_app.fitting.tables.factors import fit_factors
from serve_app.fitting.tables.fit_tables import compute_trends
from serve_app.fitting.tables.linear import LinearWeights, fit_linear_weights
from serve_app.fitting.tables.tables_config import TablesConfig
from serve_app.fitting.tables.vectors import compute_content_matrix

# Items in each trial of the autoencoder, whose time grows with their cube.
_MAX_LINEAR_ITEMS = 3_000


class TrialTables:
    """Makes the tables of a trial from those of the snapshot; ``log`` has listed items alone."""

    def __init__(self, snapshot: Snapshot, log: InteractionLog, max_items_per_user: int) -> None:
        self._at, self._n_rows = snapshot.at, len(snapshot.fitted.catalogue)
        self._n_users = len(log.user_ids)
        self._touched = find_pairs(log, TYPE_WEIGHTS)
        counted = find_pairs(select_interactions(log, snapshot.label.counts(log)), TYPE_WEIGHTS)
        kept, _ = latest_first(
            counted.users, counted.rows, counted.at, self._n_users, max_items_per_user
        )
        self._basket_at = counted.at[kept]
        self._content = compute_content_matrix(snapshot.fitted.catalogue).weights
        self._last_linear: tuple[tuple[float, float], LinearWeights] | None = None

    def with_votes(self, tables: CandidateTables, config: TablesConfig) -> CandidateTables:
        weights = decay(self._basket_at, self._at, config.votes_half_life_days)
        return replace(tables, basket_weights=weights)

    def with_linear(self, tables: CandidateTables, config: TablesConfig) -> CandidateTables:
        trends = compute_trends(self._touched, self._n_rows, self._at, config)
        return replace(tables, **self._linear(config)._asdict(), trends=trends)

    def with_factors(self, tables: CandidateTables, config: TablesConfig) -> CandidateTables:
        factors = fit_factors(self._touched, self._n_rows, self._n_users, config)
        return replace(tables, **factors._asdict())

    def _linear(self, config: TablesConfig) -> LinearWeights:
        """Keeps the weights of the last call: most points differ in the trend alone."""
        key = (config.regularization, config.content_weight)
        if self._last_linear is None or self._last_linear[0] != key:
            small = min(config.max_linear_items, _MAX_LINEAR_ITEMS)
            settings = config.model_copy(update={"max_linear_items": small})
            linear = fit_linear_weights(
                self._touched, self._n_rows, self._n_users, self._content, settings
            )
            self._last_linear = (key, linear)
        return self._last_linear[1]
