import numpy as np
import pytest

from serve_app.measuring.bootstrap import (
    interval,
    interval_of_counts,
    resampled_means,
)
from serve_app.measuring.comparing import comparisons, intervals
from serve_app.measuring.lists import incidence
from serve_app.measuring.metrics import coverage

RNG = np.random.default_rng(0)
VALUES = RNG.normal(0.5, 0.2, 400)


def interval_of(values, n_resamples=2_000, seed=1):
    return interval(values.mean(), resampled_means(values[:, None], n_resamples, seed)[:, 0])


class TestInterval:
    def test_is_as_wide_as_the_standard_error_says(self):
        found = interval_of(VALUES)
        error = VALUES.std() / np.sqrt(len(VALUES))

        assert found.mean == VALUES.mean()
        assert found.low == pytest.approx(found.mean - 1.96 * error, abs=0.1 * error)
        assert found.high == pytest.approx(found.mean + 1.96 * error, abs=0.1 * error)

    def test_has_no_width_where_all_users_are_alike(self):
        assert interval_of(np.full(50, 0.3)) == pytest.approx((0.3, 0.3, 0.3))

    def test_is_the_same_for_the_same_seed(self):
        assert interval_of(VALUES, 100) == interval_of(VALUES, 100)
        assert interval_of(VALUES, 100) != interval_of(VALUES, 100, seed=2)

    def test_equals_a_bootstrap_written_out(self):
        values = VALUES[:60]
        rng = np.random.default_rng(9)
        means = [rng.choice(values, len(values)).mean() for _ in range(4_000)]
        found = interval_of(values, 4_000)

        width = found.high - found.low
        assert (found.low, found.high) == pytest.approx(
            tuple(np.quantile(means, (0.025, 0.975))), abs=0.05 * width
        )


class TestIntervalOfCounts:
    def test_lies_around_the_figure(self):
        lists = RNG.integers(0, 300, (100, 5)).astype(np.int32)
        inside = incidence(np.sort(lists, axis=1), 300)
        found = interval_of_counts(inside, coverage, 200, 1)

        assert found.mean == (inside.sum(axis=0) > 0).mean()
        assert found.low < found.mean < found.high


class TestComparisons:
    per_user = {  # noqa: RUF012
        "ours": {"ndcg@10": VALUES + 0.1},
        "other": {"ndcg@10": VALUES},
        "none": {"ndcg@10": np.zeros(len(VALUES))},
    }

    def test_are_paired(self):
        # Both vary from user to user, their difference does not.
        found = comparisons("ours", self.per_user, ["ndcg@10"], 300, 1)

        assert found["other"].difference["ndcg@10"] == pytest.approx((0.1, 0.1, 0.1))
        ratio = found["other"].ratio["ndcg@10"]
        assert 1 < ratio.low < ratio.mean < ratio.high
        assert ratio.mean == pytest.approx((VALUES.mean() + 0.1) / VALUES.mean())

    def test_give_no_ratio_to_nothing(self):
        found = comparisons("ours", self.per_user, ["ndcg@10"], 300, 1)

        assert found["none"].ratio == {}
        assert found["none"].difference["ndcg@10"].low > 0

    def test_leave_out_the_model_itself(self):
        assert set(comparisons("ours", self.per_user, ["ndcg@10"], 10, 1)) == {"other", "none"}


def test_every_measure_gets_an_interval():
    lists = {"model": RNG.integers(0, 9, (20, 4)).astype(np.int32)}
    found = intervals({"model": {"ndcg@4": VALUES[:20]}}, lists, 9, (2, 4), 50, 1)

    assert set(found["model"]) == {
        "ndcg@4", "coverage@2", "coverage@4", "gini@2", "gini@4",
    }  # fmt: skip
    for each in found["model"].values():
        assert each.low <= each.mean <= each.high
