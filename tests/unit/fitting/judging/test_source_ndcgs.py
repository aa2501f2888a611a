import numpy as np
import pytest

from serve_app.arrays.ragged import offsets_of
from serve_app.domain.scoring.model_features import FEATURES, SOURCES
from serve_app.fitting.data.labels import CLICKED, WANTED
from serve_app.fitting.judging.window_results import source_ndcgs
from serve_app.fitting.moments.examples import Examples


def examples_of(strengths, lengths, **columns):
    matrix = np.full((len(strengths), len(FEATURES)), np.nan, np.float32)
    for name, values in columns.items():
        matrix[:, FEATURES.index(f"candidate.{name}")] = values
    return Examples(matrix, np.array(strengths, np.uint8), offsets_of(lengths))


class TestSources:
    def test_each_is_measured_by_its_own_ranks_on_what_counts(self):
        examples = examples_of(
            [0, WANTED, CLICKED, WANTED],
            [3, 1],
            popular_rank=[1, 2, 3, np.nan],
            similar_users_rank=[np.nan, np.nan, np.nan, 1],
        )

        ndcgs = source_ndcgs(examples, np.array([1, 2]))

        of_two = 1 + 1 / np.log2(3)
        assert ndcgs[:, SOURCES.index("popular")] == pytest.approx([1 / np.log2(3), 0])
        assert ndcgs[:, SOURCES.index("similar_users")] == pytest.approx([0, 1 / of_two])
