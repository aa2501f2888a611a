"""Finds for each item the items with the most similar users."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serve_app.arrays.columns import Rows
from serve_app.arrays.grouping import best
from serve_app.arrays.ragged import Offsets, offsets_of
from serve_app.fitting.data.pairs import Pairs, latest_first
from serve_app.fitting.tables.tables_config import TablesConfig

_BLOCK_ROWS = 512


class Neighbours(NamedTuple):
    """Fields of ``domain.candidate_tables.CandidateTables``."""

    neighbour_offsets: Offsets
    neighbour_rows: Rows
    neighbour_scores: NDArray[np.float32]


def find_neighbours(pairs: Pairs, n_rows: int, n_users: int, config: TablesConfig) -> Neighbours:
    """The items with the most similar users.

    Similarity is the cosine of two columns of the user-item matrix, with a shrunk denominator
    (Sarwar et al., WWW 2001). Users with many items count less for each pair of items.
    """
    matrix = _user_item_matrix(pairs, n_rows, n_users, config)
    by_item = matrix.T.tocsr()
    norms = np.sqrt(by_item.multiply(by_item).sum(axis=1))
    lists: list[tuple[Rows, NDArray[np.float32]]] = []
    # In blocks: the product of all items with each other does not fit into memory.
    for start in range(0, n_rows, _BLOCK_ROWS):
        products = by_item[start : start + _BLOCK_ROWS] @ matrix
        for i in range(products.shape[0]):
            entries = slice(products.indptr[i], products.indptr[i + 1])
            rows, dots = products.indices[entries], products.data[entries]
            is_other = rows != start + i
            rows, dots = rows[is_other], dots[is_other]
            scores = dots / (norms[start + i] * norms[rows] + config.shrinkage)
            top = best(rows, scores, config.max_neighbours)
            lists.append((rows[top].astype(np.int32), scores[top].astype(np.float32)))
    return Neighbours(
        offsets_of([len(rows) for rows, _ in lists]),
        np.concatenate([rows for rows, _ in lists]),
        np.concatenate([scores for _, scores in lists]),
    )


def _user_item_matrix(pairs: Pairs, n_rows: int, n_users: int, config: TablesConfig) -> csr_array:
    kept, offsets = latest_first(
        pairs.users, pairs.rows, pairs.at, n_users, config.max_items_per_user
    )
    lengths = np.diff(offsets)
    values = pairs.weights[kept] / np.sqrt(np.repeat(lengths, lengths))
    shape = (n_users, n_rows)
    return csr_array((values.astype(np.float64), pairs.rows[kept], offsets), shape=shape)
