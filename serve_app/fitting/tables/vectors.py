"""Computes vectors of items by truncated singular value decompositions of users and words."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serve_app.arrays.columns import IdIndex, TagsColumn
from serve_app.arrays.ragged import lengths_of
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.interactions import TYPE_WEIGHTS, InteractionLog
from serve_app.domain.words import words_of
from serve_app.fitting.data.pairs import Pairs, find_pairs
from serve_app.fitting.tables.singular_vectors import leading_vectors

# Vectors shorter than this share of the longest are rounding errors.
_NOISE = 1e-6

# Divides in place of a singular value of zero.
_TINY = np.finfo(np.float64).tiny

# Halko et al. recommend 5 to 10 more columns, and few iterations where values fall slowly.


def compute_item_vectors(
    log: InteractionLog, n_rows: int, n_dimensions: int
) -> NDArray[np.float32]:
    """Vectors of unit length; their cosine is the similarity of the users of two items.

    Rows of users with many items and columns of items with many users are scaled down: neither
    dominates the decomposition.

    Returns:
        Shape (n_rows, n_dimensions), float32, all zero for items without interactions.
    """
    matrix = _scaled(find_pairs(log, TYPE_WEIGHTS), n_rows, len(log.user_ids))
    strengths, axes = leading_vectors(matrix, n_dimensions)
    return _of_unit_length(axes.T * np.sqrt(strengths), n_dimensions)


class Factors(NamedTuple):
    """Fields of ``domain.candidate_tables.CandidateTables``.

    A user's factors are the sum of ``factors_in`` of the rows that the user took. Their product
    with ``factors_out`` of a row is its score.
    """

    factors_in: NDArray[np.float32]
    factors_out: NDArray[np.float32]


def compute_item_factors(
    pairs: Pairs, n_rows: int, n_users: int, n_dimensions: int, shrinkage: float
) -> Factors:
    """Factorises the user-item matrix in closed form.

    The loss is quadratic, and both sides are regularised. The factors are the leading singular
    vectors, whose values are all reduced by one amount. The matrix is scaled as for
    ``compute_item_vectors``; ``factors_out`` undoes the scaling of the items.

    Source:
        Mazumder, Hastie and Tibshirani, "Spectral Regularization Algorithms for Learning Large
        Incomplete Matrices", JMLR 2010.

    Args:
        shrinkage: the amount, as a share of the largest singular value.

    Returns:
        Zero where the matrix is too small to decompose, and for items without pairs.
    """
    taken = np.zeros((n_rows, n_dimensions), np.float32)
    offered = np.zeros_like(taken)
    strengths, axes = leading_vectors(_scaled(pairs, n_rows, n_users), n_dimensions)
    k = len(strengths)
    kept = np.sqrt(np.maximum(1 - shrinkage * strengths[:1] / np.maximum(strengths, _TINY), 0))
    scales = np.maximum(np.bincount(pairs.rows, minlength=n_rows), 1)[:, None] ** 0.25
    taken[:, :k], offered[:, :k] = kept * axes.T / scales, kept * axes.T * scales
    return Factors(taken, offered)


class ContentMatrix(NamedTuple):
    """Words of titles and tags in each item.

    Attributes:
        weights: shape (n_rows, n_words), tf-idf: rare words count more. Rows have unit length, or
            are zero for items whose words no other item has.
        words: the words of the columns.
        idf: shape (n_words,), the weight of each word in an item of this word alone.
    """

    weights: csr_array
    words: tuple[str, ...]
    idf: NDArray[np.float64]


class ContentVectors(NamedTuple):
    """Fields of ``domain.candidate_tables.CandidateTables``."""

    content_vectors: NDArray[np.float32]
    word_index: IdIndex
    word_vectors: NDArray[np.float32]


def compute_content_vectors(content: ContentMatrix, n_dimensions: int) -> ContentVectors:
    """Vectors of unit length; their cosine is the similarity of the words of two items.

    Latent semantic analysis (Deerwester et al., JASIS 1990). Vectors of words place items that the
    decomposition did not know ("folding in").

    Returns:
        Content vectors of shape (n_rows, n_dimensions), float32, zero for items whose words no
        other item has; and the words that several items have.
    """
    strengths, axes = leading_vectors(csr_array(content.weights.T), n_dimensions)
    shared = np.flatnonzero(content.idf > 0)
    of_words = np.zeros((len(shared), n_dimensions), np.float32)
    # The left singular vectors, by the definition of the decomposition.
    left = (content.weights.T @ axes.T)[shared] * _inverse(strengths)
    of_words[:, : len(strengths)] = content.idf[shared, None] * left
    index = IdIndex.of([content.words[word] for word in shared])
    return ContentVectors(_of_unit_length(axes.T * strengths, n_dimensions), index, of_words)


def compute_content_matrix(catalogue: Catalogue) -> ContentMatrix:
    """Counts the words of titles and tags in each item."""
    n_rows = len(catalogue)
    tags = catalogue.columns["tags"]
    assert isinstance(tags, TagsColumn)
    number_of: dict[str, int] = {}
    rows: list[int] = []
    numbers: list[int] = []
    for row, title in enumerate(catalogue.titles.take(range(n_rows))):
        for word in words_of(title, tags.words(row)):
            rows.append(row)
            numbers.append(number_of.setdefault(word, len(number_of)))
    n_of_word = np.bincount(numbers, minlength=len(number_of)).astype(float)
    # Rows that wait for an item do not make words rarer.
    n_items = np.count_nonzero(lengths_of(catalogue.item_ids.offsets))
    # A word of a single item makes it similar to no other.
    idf = np.where(n_of_word > 1, np.log(n_items / np.maximum(n_of_word, 1)), 0.0)
    matrix = csr_array(
        (idf[numbers], (np.array(rows, np.int64), np.array(numbers, np.int64))),
        shape=(n_rows, len(number_of)),
    )
    lengths = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    weights = csr_array(matrix.multiply(_inverse(lengths)[:, None]))
    return ContentMatrix(weights, tuple(number_of), idf)


def _of_unit_length(raw: NDArray[np.float64], n_dimensions: int) -> NDArray[np.float32]:
    """Scales the vectors to unit length, and those that are rounding errors to zero."""
    vectors = np.zeros((len(raw), n_dimensions), np.float32)
    lengths = np.linalg.norm(raw, axis=1)
    kept = lengths > _NOISE * lengths.max(initial=0)
    vectors[kept, : raw.shape[1]] = raw[kept] / lengths[kept, None]
    return vectors


def _inverse(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(1.0, values, out=np.zeros(len(values)), where=values > 0)


def _scaled(pairs: Pairs, n_rows: int, n_users: int) -> csr_array:
    per_user = np.bincount(pairs.users, minlength=n_users)[pairs.users]
    per_item = np.bincount(pairs.rows, minlength=n_rows)[pairs.rows]
    values = pairs.weights.astype(float) / np.sqrt(np.sqrt(per_user * per_item))
    return csr_array((values, (pairs.users, pairs.rows)), shape=(n_users, n_rows))
