import numpy as np

from serve_app.fitting.data.labels import WANTED
from serve_app.fitting.moments.examples import Examples, drop_negatives


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
