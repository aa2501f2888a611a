import pytest

from serve_app.fitting.data.outcomes import sample
from serve_app.fitting.moments.snapshot import SnapshotConfig
from serve_app.fitting.tuning.source_tuning import SOURCE_WEIGHTS, choose_clearly_best, tune_sources
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.recommending.scoring.model_features import SOURCES
from tests.support.hand_made_logs import demo_shop
from tests.support.measured_windows import outcomes_at, split, world_at


@pytest.fixture(scope="module")
def chosen():
    return settings_chosen()


def settings_chosen(*, n_back=None):
    """``n_back``: how many of the users who came back are known; all of them when ``None``."""
    at = split()
    log, world = demo_shop()[2], world_at(at.train_at)
    found = outcomes_at(at.train_at, at.evaluate_at)
    if n_back is not None:
        found = sample(found, n_back, 7)
    candidates = CandidatesConfig(max_candidates=100)
    return tune_sources(world, log, found, SnapshotConfig(), candidates, 200, 7)


class TestClearlyBest:
    def test_takes_the_point_that_nearly_everybody_is_better_off_with(self):
        assert choose_clearly_best([[0.1, 0.2, 0.3], [0.2, 0.3, 0.4], [0.0, 0.1, 0.2]]) == 1

    def test_keeps_the_first_where_one_user_makes_the_difference(self):
        assert choose_clearly_best([[0.1] * 50, [0.1] * 49 + [1.0]]) == 0

    def test_keeps_the_first_where_there_is_but_one_user(self):
        assert choose_clearly_best([[0.1], [0.9]]) == 0

    def test_keeps_the_first_of_equals(self):
        assert choose_clearly_best([[0.1, 0.2], [0.1, 0.2]]) == 0


class TestTuned:
    def test_a_shop_with_few_buyers_of_an_item_gets_a_weaker_regularization(self, chosen):
        assert chosen.tables.regularization < SnapshotConfig().tables.regularization

    def test_every_source_gets_a_weight_of_the_grid_or_keeps_its_own(self, chosen):
        given = SnapshotConfig().tables.source_weights

        assert len(chosen.tables.source_weights) == len(SOURCES)
        for weight, before_it in zip(chosen.tables.source_weights, given, strict=True):
            assert weight in {*SOURCE_WEIGHTS, before_it}

    def test_many_users_keep_factors_in_closed_form(self, chosen):
        given = SnapshotConfig().tables

        assert chosen.tables.factors_regularization == given.factors_regularization == 0

    def test_the_same_data_choose_the_same(self, chosen):
        assert settings_chosen() == chosen

    def test_nothing_changes_where_nobody_came_back(self):
        assert settings_chosen(n_back=0) == SnapshotConfig()
