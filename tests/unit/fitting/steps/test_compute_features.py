import numpy as np

from serve_app.arrays.columns import IdIndex
from serve_app.arrays.units import DAY_S
from serve_app.fitting.data.items import build_catalogue
from serve_app.fitting.data.labels import BOUGHT
from serve_app.fitting.data.windows import FitWindows
from serve_app.fitting.steps.check_data import CheckedData
from serve_app.fitting.steps.compute_features import known_at
from tests.support.hand_made_logs import items_of, log_of


def test_lists_a_withdrawn_item_only_at_moments_before_that():
    log = log_of(("ann", 0, "view", 1), ("ann", 1, "view", 2))
    data = CheckedData(
        build_catalogue(items_of(2), log, 2),
        log,
        IdIndex.of(log.user_ids),
        np.full(1, np.nan),
        FitWindows(3 * DAY_S, 5 * DAY_S, 9 * DAY_S),
        BOUGHT,
        withdrawn_at=np.array([4 * DAY_S, np.nan]),
        revision=0,
    )

    listed = {moment: known_at(data, moment).listed.tolist() for moment in ("past", "final")}

    assert listed == {"past": [True, True], "final": [False, True]}
    assert known_at(data, "latest").listed.tolist() == [False, True]
