import numpy as np
import pytest

from serve_app.fitting.data.labels import WANTED
from serve_app.fitting.moments.examples import Examples
from serve_app.fitting.training.boosting import weigh_users


class TestUserWeights:
    def test_a_user_who_touched_a_hundred_counts_as_much_as_ten_who_touched_one(self):
        strengths = np.full(111, WANTED, np.uint8)
        strengths[-1] = 0
        examples = Examples(
            np.zeros((111, 1), np.float32),
            strengths,
            np.ones(111, np.float32),
            np.array([0, 100, *range(101, 111), 111]),
        )

        weights = weigh_users(examples)

        assert weights[:100].sum() == pytest.approx(weights[100:110].sum())
        assert weights[110] == weights[109], "who touched nothing counts as who touched one"

    def test_users_alike_count_as_if_there_were_no_weights(self):
        examples = Examples(
            np.zeros((8, 1), np.float32),
            np.array([1, 1, 0, 0] * 2, np.uint8),
            np.ones(8, np.float32),
            np.array([0, 4, 8]),
        )

        assert weigh_users(examples).tolist() == [1.0] * 8
