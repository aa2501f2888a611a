from dataclasses import replace

import numpy as np
import pytest

from serve_app.fitting.data.items import build_catalogue
from serve_app.fitting.judging.untried_items import UntriedItems, count_untried
from serve_app.fitting.moments.snapshot import SnapshotConfig, take_snapshot
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.recommending.ranking.ordering import RankingConfig
from tests.support.hand_made_logs import items_of, log_of

N_TRIED, N_UNTRIED = 30, 60


@pytest.fixture(scope="module")
def snapshot():
    """Items of which two thirds nobody has touched; those have no price."""
    events = [(f"u{i % 20}", i % N_TRIED, "purchase", 1 + i / 50) for i in range(400)]
    log = log_of(*events)
    n = N_TRIED + N_UNTRIED
    items = items_of(n, price=[5.0] * N_TRIED + [np.nan] * N_UNTRIED)
    catalogue = build_catalogue(items, log, 8)
    unknown = np.full(len(log.user_ids), np.nan)
    end_at = float(log.at.max())
    return take_snapshot(catalogue, log, end_at, catalogue.listed, unknown, SnapshotConfig())


def counted(snapshot, share):
    # Untried items first: their price is unknown.
    return count_untried(
        snapshot,
        lambda matrix: np.isnan(matrix[:, 0]).astype(np.float32),
        ("item.log_price",),
        CandidatesConfig(),
        RankingConfig(max_untried_share=share),
        seed=1,
    )


@pytest.mark.parametrize(("share", "recommended"), [(0.0, 0.0), (0.2, 0.2), (1.0, 1.0)])
def test_is_the_share_of_the_places_that_untried_items_take(snapshot, share, recommended):
    found = counted(snapshot, share)

    assert found.n_users == 20
    assert found.listed == pytest.approx(2 / 3)
    assert found.recommended == pytest.approx(recommended)


def test_is_zero_where_nothing_can_be_recommended(snapshot):
    nothing = replace(snapshot.fitted.catalogue, listed=np.zeros(N_TRIED + N_UNTRIED, bool))
    empty = replace(snapshot, fitted=replace(snapshot.fitted, catalogue=nothing))

    assert counted(empty, 0.3) == UntriedItems(20, 0.0, 0.0)
