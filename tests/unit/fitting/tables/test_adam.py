import numpy as np
import pytest

from serve_app.fitting.tables.adam import Adam


class TestAdam:
    def test_finds_the_least_value_of_a_function(self):
        target = np.array([[1.0, -2.0], [3.0, 0.5]], np.float32)
        found = np.zeros_like(target)
        adam = Adam(found)

        for update in range(500):
            adam.update(np.arange(2), 2 * (found - target), 0.05 * (1 - update / 500))

        assert found == pytest.approx(target, abs=1e-3)

    def test_the_first_step_of_a_row_is_as_long_as_the_rate_whatever_came_before(self):
        found = np.zeros(3, np.float32)
        adam = Adam(found)

        for _ in range(1_000):
            adam.update(np.array([0]), np.ones(1, np.float32), 0.1)
        adam.update(np.array([1, 2]), np.array([1e-3, -1e3], np.float32), 0.1)

        assert found[1:] == pytest.approx([-0.1, 0.1], rel=1e-3)

    def test_rows_without_a_gradient_stay(self):
        found = np.ones((3, 1), np.float32)
        adam = Adam(found)

        adam.update(np.array([1]), np.ones((1, 1), np.float32), 0.1)
        adam.update(np.array([2]), np.ones((1, 1), np.float32), 0.1)

        assert found[0] == 1
        assert (found[1:] < 1).all()
