import json

import numpy as np
import pytest

from serve_app.evaluation.baselines.popularity import same_for_all
from serve_app.evaluation.protocol import ProtocolConfig, split_at_share
from serve_app.evaluation.rivals import FUSED_SOURCES, RIVALS, points_within, tune
from serve_app.evaluation.training_matrix import Rival
from tests.support.hand_made_logs import demo_shop
from tests.support.training_matrices import AGES, N_ITEMS, USERS, scores_of, training_of


@pytest.mark.parametrize("rival", RIVALS, ids=lambda rival: rival.name)
class TestEveryRival:
    def test_scores_all_items_for_the_given_users(self, rival):
        [score] = rival.fit(training_of(), [rival.grid[0]])
        scores = np.asarray(score(USERS))

        assert scores.shape == (4, N_ITEMS)
        assert np.isfinite(scores).all()

    def test_gives_equal_scores_each_time(self, rival):
        assert scores_of(rival, **rival.grid[-1]) == pytest.approx(
            scores_of(rival, **rival.grid[-1]), abs=0
        )

    def test_scores_a_point_alike_alone_and_among_others(self, rival):
        points = rival.grid[:: max(1, len(rival.grid) // 4)]
        together = [np.asarray(score(USERS)) for score in rival.fit(training_of(), points)]

        for point, scores in zip(points, together, strict=True):
            assert scores == pytest.approx(scores_of(rival, **point), abs=0)

    def test_uses_time_only_if_it_says_so(self, rival):
        later = training_of(ages=AGES.max() - AGES)
        same = np.array_equal(
            scores_of(rival, **rival.grid[0]), scores_of(rival, later, **rival.grid[0])
        )

        assert same is not rival.uses_time

    def test_has_parameters_that_json_can_hold(self, rival):
        assert json.loads(json.dumps(rival.grid)) == list(rival.grid)

    def test_takes_one_user_with_one_item(self, rival):
        alone = training_of(np.ones((1, 1)), np.zeros((1, 1)))
        [score] = rival.fit(alone, [rival.grid[-1]])

        assert np.isfinite(np.asarray(score(np.array([0], np.int32)))).all()


def test_rivals_have_unique_names():
    names = [rival.name for rival in RIVALS]

    assert len(set(names)) == len(names)
    assert set(FUSED_SOURCES) <= set(names)


def split():
    return split_at_share(demo_shop()[2], ProtocolConfig(max_users=50))


def knowing(inner, grid):
    """A rival that favours wanted items in proportion to its parameter."""
    wanted = np.bincount(inner.wanted.items, minlength=inner.training.n_items)

    def fit(training, points):
        for point in points:
            yield same_for_all(point["share"] * wanted - 0.5 * (wanted == 0))

    return Rival("knowing", False, tuple(grid), fit)


def check_share(share):
    assert 0 <= share <= 1


def test_chooses_the_best_point_on_the_inner_split():
    inner = split()
    tuned = tune(knowing(inner, [{"share": -1}, {"share": 1}]), inner, 10, 1, check_share)

    assert tuned.point == {"share": 1}
    assert tuned.ndcg > 0
    assert tuned.n_points == 2


def test_prefers_the_earlier_of_equal_points():
    inner = split()

    assert tune(knowing(inner, [{"share": 2}, {"share": 3}]), inner, 10, 1, check_share).point == {
        "share": 2
    }


def test_does_not_try_a_single_point():
    inner = split()
    tuned = tune(knowing(inner, [{"share": 1}]), inner, 10, 1, check_share)

    assert tuned == ({"share": 1}, None, 0)


def test_reports_the_share_of_points_tried():
    inner = split()
    shares = []
    tune(knowing(inner, [{"share": 1}, {"share": 2}]), inner, 10, 1, shares.append)

    assert shares == [0.5, 1.0]


def test_cuts_a_large_grid_to_the_budget():
    grid = tuple({"share": i} for i in range(40))
    kept = points_within(grid, 5, 1)

    assert len(kept) == 5
    assert list(kept) == sorted(kept, key=lambda point: point["share"])
    assert kept == points_within(grid, 5, 1)
    assert kept != points_within(grid, 5, 2)
