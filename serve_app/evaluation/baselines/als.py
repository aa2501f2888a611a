"""Fits implicit alternating least squares, with the library ``implicit``.

Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from scipy.sparse import csr_matrix

from serve_app.errors import ExtraMissing
from serve_app.evaluation.training_matrix import (
    Point,
    Rival,
    ScoreItems,
    TrainingMatrix,
    combinations,
)

_SEED = 7
_N_ITERATIONS = 15


def import_libraries() -> tuple[Any, Any]:
    """Imports the model's class, and the function that limits the threads of BLAS.

    Raises:
        ExtraMissing: the extra ``evaluate`` is not installed.
    """
    try:
        from implicit.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError as error:
        raise ExtraMissing("evaluate", "implicit") from error
    return AlternatingLeastSquares, threadpool_limits


def _fit(training: TrainingMatrix, points: Sequence[Point]) -> Iterator[ScoreItems]:
    als, threadpool_limits = import_libraries()
    matrix = csr_matrix(training.matrix)
    for point in points:
        # With more BLAS threads the library is slower, and warns.
        with threadpool_limits(1, "blas"):
            model = als(**point, iterations=_N_ITERATIONS, num_threads=1, random_state=_SEED)
            model.fit(matrix, show_progress=False)
        yield _by_factors(model)


def _by_factors(model: Any) -> ScoreItems:
    # A function of its own binds the model now; a lambda in the loop would see the last one.
    return lambda users: model.user_factors[users] @ model.item_factors.T


ALS = Rival(
    "als",
    False,
    combinations(factors=(32, 64, 128), alpha=(1.0, 5.0), regularization=(0.1, 3.0, 20.0)),
    _fit,
)
