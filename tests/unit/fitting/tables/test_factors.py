import numpy as np
import pytest

from serve_app.fitting.data.pairs import Pairs
from serve_app.fitting.tables.factors import alternate, fit_factors
from serve_app.fitting.tables.tables_config import TablesConfig
from serve_app.fitting.tables.vectors import compute_item_factors

N_USERS, N_ROWS = 30, 12


def two_groups():
    """Users of two halves take items of their half, but for one item each."""
    users, rows = np.nonzero(np.arange(N_USERS)[:, None] % 2 == np.arange(N_ROWS - 2)[None] % 2)
    kept = rows // 2 != users // 2 % 5
    users, rows = users[kept].astype(np.int32), rows[kept].astype(np.int32)
    return Pairs(users, rows, np.zeros(len(users)), np.ones(len(users), np.float32))


def scores_of(factors, pairs):
    taken = np.zeros((N_USERS, N_ROWS))
    taken[pairs.users, pairs.rows] = pairs.weights
    return taken @ factors.factors_in @ factors.factors_out.T


def test_alternating_factors_prefer_the_missing_item_of_the_own_group():
    pairs = two_groups()

    scores = scores_of(alternate(pairs, N_ROWS, 4, 3.0), pairs)

    for user in range(N_USERS):
        own, other = np.arange(user % 2, N_ROWS - 2, 2), np.arange(1 - user % 2, N_ROWS - 2, 2)
        assert scores[user, own].min() > scores[user, other].max()


def test_equal_pairs_give_equal_factors():
    first, second = (alternate(two_groups(), N_ROWS, 4, 3.0) for _ in range(2))

    assert np.array_equal(first.factors_in, second.factors_in)
    assert np.array_equal(first.factors_out, second.factors_out)


def test_items_that_nobody_took_have_no_factors():
    factors = alternate(two_groups(), N_ROWS, 4, 3.0)

    assert not factors.factors_in[-2:].any()
    assert not factors.factors_out[-2:].any()


def test_a_shop_without_pairs_has_no_factors():
    none = Pairs(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0), np.empty(0, np.float32))

    assert not alternate(none, N_ROWS, 4, 3.0).factors_in.any()


@pytest.mark.parametrize("regularization", [0.0, 3.0])
def test_both_forms_have_the_length_that_is_set(regularization):
    config = TablesConfig(factors_dim=20, factors_regularization=regularization)

    factors = fit_factors(two_groups(), N_ROWS, N_USERS, config)

    assert factors.factors_in.shape == factors.factors_out.shape == (N_ROWS, 20)


def test_without_a_regularization_the_factors_come_in_closed_form():
    config, pairs = TablesConfig(), two_groups()
    closed = compute_item_factors(
        pairs, N_ROWS, N_USERS, config.factors_dim, config.factors_shrinkage
    )

    assert np.array_equal(fit_factors(pairs, N_ROWS, N_USERS, config).factors_in, closed.factors_in)
