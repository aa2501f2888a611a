"""Factors of users, from what they took."""

import numpy as np
import pytest

from serve_app.domain.candidates.factors import affinities, user_factors
from serve_app.domain.interactions import NO_EVENTS, PURCHASE, TYPE_CODES, Histories, make_events

FACTORS = np.array([[1, 0], [0, 1], [2, 2]], np.float32)
VIEW = TYPE_CODES["view"]


def test_a_users_factors_are_the_sum_over_his_items_each_once_by_the_strongest_event():
    several = make_events([1, 0, 1, 1], [VIEW, VIEW, PURCHASE, VIEW], [1, 2, 3, 4])
    one = make_events([2], [PURCHASE], [1])

    found = user_factors(Histories.of([several, NO_EVENTS, one]), FACTORS)

    assert found.tolist() == [pytest.approx([0.2, 1.0]), [0, 0], [2, 2]]


def test_affinity_holds_a_user_against_what_is_offered():
    rows, requests = np.array([2, 0, 1], np.int32), np.array([0, 0, 1])
    of_users = np.array([[1, 2], [3, 4]], np.float32)

    assert affinities(rows, requests, of_users, FACTORS).tolist() == [6, 1, 4]
