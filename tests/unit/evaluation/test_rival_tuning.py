import numpy as np

from serve_app.evaluation.baselines.popularity import same_for_all
from serve_app.evaluation.protocol import ProtocolConfig, split_at_share
from serve_app.evaluation.rival_tuning import tune, within_budget
from serve_app.evaluation.training_matrix import Rival
from tests.support.hand_made_logs import demo_shop


def split():
    return split_at_share(demo_shop()[2], ProtocolConfig(max_users=50))


def knowing(inner, grid):
    """Favours what is wanted as much as its parameter says."""
    wanted = np.bincount(inner.wanted.items, minlength=inner.past.n_items)

    def fits(past, points):
        for point in points:
            yield same_for_all(point["share"] * wanted - 0.5 * (wanted == 0))

    return Rival("knowing", False, tuple(grid), fits)


def nothing(share):
    assert 0 <= share <= 1


def test_chooses_what_was_best_on_the_inner_split():
    inner = split()
    tuned = tune(knowing(inner, [{"share": -1}, {"share": 1}]), inner, 10, 1, nothing)

    assert tuned.point == {"share": 1}
    assert tuned.ndcg > 0
    assert tuned.n_points == 2


def test_prefers_the_earlier_of_equals():
    inner = split()

    assert tune(knowing(inner, [{"share": 2}, {"share": 3}]), inner, 10, 1, nothing).point == {
        "share": 2
    }


def test_has_nothing_to_choose_from_one_point():
    inner = split()
    tuned = tune(knowing(inner, [{"share": 1}]), inner, 10, 1, nothing)

    assert tuned == ({"share": 1}, None, 0)


def test_says_how_far_it_is():
    inner = split()
    told = []
    tune(knowing(inner, [{"share": 1}, {"share": 2}]), inner, 10, 1, told.append)

    assert told == [0.5, 1.0]


def test_a_large_grid_is_cut_to_the_budget():
    grid = tuple({"share": i} for i in range(40))
    kept = within_budget(grid, 5, 1)

    assert len(kept) == 5
    assert list(kept) == sorted(kept, key=lambda point: point["share"])
    assert kept == within_budget(grid, 5, 1)
    assert kept != within_budget(grid, 5, 2)
