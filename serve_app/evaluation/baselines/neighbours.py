"""Tables of nearest neighbours, computed in blocks: nothing of users × items or larger is dense."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from serve_app.evaluation.training_matrix import ScoreItems

_BLOCK_NUMBERS = 8_000_000


def block_length(width: int) -> int:
    """How many rows of a width are computed at once."""
    return max(1, min(512, _BLOCK_NUMBERS // max(width, 1)))


def blocks(n: int, width: int) -> Iterator[slice]:
    step = block_length(width)
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def strongest(block: NDArray[np.floating], k: int) -> NDArray[np.floating]:
    """The k largest numbers of each row (more where some are equal), the others zero."""
    if k >= block.shape[1]:
        return block
    least = np.partition(block, -k, axis=1)[:, -k]
    return np.where(block >= least[:, None], block, 0)


def item_neighbours(
    similarities: Callable[[slice], NDArray[np.floating]], n_items: int, ks: Sequence[int]
) -> list[csr_array]:
    """
    For each k a table, shape (n_items, n_items): per item the k that are most similar to it.

    Args:
        similarities: of the items of a slice to all items, shape (length, n_items).
    """
    parts: list[list[csr_array]] = [[] for _ in ks]
    for block in blocks(n_items, n_items):
        similar = similarities(block)
        similar[np.arange(len(similar)), np.arange(block.start, block.stop)] = 0
        for kept, k in zip(parts, ks, strict=True):
            kept.append(csr_array(strongest(similar, k).astype(np.float32)))
    return [csr_array(vstack(kept)) for kept in parts]


def by_neighbours(matrix: csr_array, neighbours: csr_array) -> ScoreItems:
    """An item scores what the user's own items among its neighbours weigh together."""
    to_targets = csr_array(neighbours.T)
    return lambda users: (matrix[users] @ to_targets).toarray()


def scaled_rows(matrix: csr_array, factors: NDArray[np.floating]) -> csr_array:
    """Each row times its factor, shape (n_rows,)."""
    values = matrix.data * np.repeat(factors, np.diff(matrix.indptr))
    return csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)


def inverse(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """One over each, zero for zero."""
    inverses = np.zeros(len(values))
    np.divide(1.0, values, out=inverses, where=values != 0)
    return inverses
