"""A small random training matrix, and formulas of rivals written out on dense arrays."""

import numpy as np
from scipy.sparse import csr_array

from serve_app.evaluation.training_matrix import TrainingMatrix

RNG = np.random.default_rng(2)
N_USERS, N_ITEMS = 30, 12
DENSE = (RNG.random((N_USERS, N_ITEMS)) < 0.3).astype(float)
DENSE[np.arange(N_USERS), np.arange(N_USERS) % N_ITEMS] = 1  # every user has an item
AGES = np.where(DENSE > 0, RNG.integers(0, 60, DENSE.shape), 0).astype(float)
USERS = np.array([0, 1, 7, 29], np.int32)

# Weights that differ, so that no two similarities are equal.
WEIGHTED = DENSE * np.random.default_rng(8).random(DENSE.shape)


def training_of(dense=DENSE, ages=AGES):
    matrix = csr_array(dense.astype(np.float32))
    pairs = matrix.nonzero()
    values = ages[pairs].astype(np.float32)
    return TrainingMatrix(matrix, csr_array((values, pairs), shape=dense.shape))


def scores_of(rival, training=None, **point):
    [score] = rival.fit(training or training_of(), [point])
    return np.asarray(score(USERS))


def decayed(half_life_days):
    return DENSE * 2 ** (-AGES / half_life_days)


def nearest(similarities, k):
    """Keep the k largest numbers of each row; no item or user is a neighbour of itself."""
    kept = np.zeros_like(similarities)
    for i, row in enumerate(similarities):
        others = [j for j in range(len(row)) if j != i]
        for j in sorted(others, key=lambda j: -row[j])[:k]:
            kept[i, j] = row[j]
    return kept
