import sys

import numpy as np
import pytest

from serve_app.errors import ExtraMissing
from serve_app.evaluation.baselines.als import ALS, import_libraries
from tests.support.training_matrices import training_of


def test_finds_the_missing_corner_of_a_checkerboard():
    # Even users have even items, odd users odd ones; every user lacks one item of their own kind.
    board = (np.add.outer(np.arange(20), np.arange(20)) % 2 == 0).astype(float)
    known = board.copy()
    np.fill_diagonal(known, 0)
    training = training_of(known, np.zeros_like(known))
    [score] = ALS.fit(training, [{"factors": 8, "alpha": 5.0, "regularization": 0.1}])
    scores = np.where(known > 0, -np.inf, score(np.arange(20, dtype=np.int32)))

    assert scores.argmax(axis=1).tolist() == list(range(20))


def test_names_the_extra_when_its_library_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "implicit.als", None)

    with pytest.raises(ExtraMissing, match=r"implicit is not installed.*'recserve\[evaluate\]'"):
        import_libraries()
