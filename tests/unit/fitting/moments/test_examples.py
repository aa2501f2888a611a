import numpy as np

from serve_app.fitting.data.labels import WANTED
from serve_app.fitting.moments.examples import Examples, are_newcomers, drop_negatives
from serve_app.recommending.scoring.model_features import FEATURES


class TestThinned:
    def test_keeps_all_that_was_touched_and_some_of_the_rest(self):
        strengths = np.zeros(400, np.uint8)
        strengths[[3, 150]] = WANTED
        examples = Examples(
            np.arange(400, dtype=np.float32)[:, None],
            strengths,
            np.ones(400, np.float32),
            np.array([0, 100, 300, 400]),
        )

        thin = drop_negatives(examples, 20, np.random.default_rng(0))

        assert len(thin) == 2
        assert (thin.strengths > 0).sum() == 2
        assert 15 < len(thin.strengths) < 75
        assert np.diff(thin.offsets).sum() == len(thin.strengths)


def test_newcomers_are_the_users_with_candidates_and_without_events():
    matrix = np.zeros((6, len(FEATURES)), np.float32)
    matrix[:, FEATURES.index("candidate.log_events")] = np.log1p([0, 0, 1, 1, 0, 9])
    none = np.zeros(6)
    examples = Examples(
        matrix, none.astype(np.uint8), none.astype(np.float32), np.array([0, 0, 2, 4, 5, 5, 6, 6])
    )

    assert are_newcomers(examples).tolist() == [False, True, False, True, False, False, False]
