"""Counts the items without any interaction in the lists that a new bundle would give.

Nobody could want such an item in the past, and therefore no comparison of orders covers it.
"""

from dataclasses import dataclass

import numpy as np

from serve_app.arrays.columns import Rows
from serve_app.domain.batches import RequestBatch
from serve_app.domain.fitted import Fitted
from serve_app.fitting.moments.snapshot import Snapshot
from serve_app.recommending.candidates.finding import CandidateFinder, CandidatesConfig
from serve_app.recommending.ranking.ordering import RankingConfig
from serve_app.recommending.recommend_batch import recommend_batch
from serve_app.recommending.scoring.boosters import Scoring, VariantModel
from serve_app.recommending.scoring.model_features import DAYS_SINCE_LAST, user_features

N_USERS = 512
"""Users whose lists are made at most: the share is then sure to about two percent."""

_LIST_LENGTH = 10


@dataclass(frozen=True, slots=True)
class UntriedItems:
    """Shares of items without any interaction.

    Attributes:
        n_users: users whose lists were made.
        listed: share of all items that can be recommended.
        recommended: share of the places of the lists.
    """

    n_users: int
    listed: float
    recommended: float


def count_untried(
    snapshot: Snapshot,
    scoring: Scoring,
    features: tuple[str, ...],
    candidates: CandidatesConfig,
    ranking: RankingConfig,
    seed: int,
) -> UntriedItems:
    """Makes the lists of random users, as they would be served at the moment of the snapshot.

    Args:
        snapshot: of the moment that the bundle knows.
        scoring, features: of the main variant.
    """
    fitted, n_users = snapshot.fitted, len(snapshot.users)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(n_users, min(n_users, N_USERS), replace=False).astype(np.int32)
    batch = RequestBatch.unfiltered(("",) * len(chosen), _LIST_LENGTH, snapshot.at)
    lists = recommend_batch(
        batch,
        fitted.archive.of_rows(chosen, stale=False),
        user_features(snapshot.users[chosen], snapshot.at),
        CandidateFinder.of(fitted, candidates),
        VariantModel(scoring, features, fitted.catalogue),
        ranking,
    ).ranked
    sellable = np.flatnonzero(fitted.catalogue.sellable).astype(np.int32)
    return UntriedItems(
        len(chosen), _share_untried(fitted, sellable), _share_untried(fitted, lists.rows)
    )


def _share_untried(fitted: Fitted, rows: Rows) -> float:
    untried = np.isnan(fitted.catalogue.features[rows, DAYS_SINCE_LAST])
    return float(untried.mean()) if len(rows) else 0.0
