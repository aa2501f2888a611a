"""The formulas of the model features, pinned: a changed one must raise ``DEFINITION``."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.arrays.columns import NumberColumn
from serve_app.arrays.units import DAY_S
from serve_app.domain.batches import ScoringBatch
from serve_app.domain.filters.allowed import Allowed
from serve_app.domain.interactions import NO_EVENTS, Histories, make_events
from serve_app.recommending.candidates.candidate_features import candidate_features
from serve_app.recommending.candidates.fusion import Merged
from serve_app.recommending.candidates.profiles import Profiles
from serve_app.recommending.candidates.sources.query import Queries
from serve_app.recommending.scoring import model_features as features
from serve_app.recommending.scoring.model_features import (
    CANDIDATE_FEATURES,
    FEATURES,
    ITEM_FEATURES,
    LOG_BUYERS,
    SESSION_FEATURES,
    SOURCES,
    USER_COLUMNS,
    USER_FEATURES,
    assemble,
    days_since,
    fingerprint,
    unknown_user,
    user_features,
)
from tests.support.small_world import small_world

AT = 1_000_000 * DAY_S / 100
KNOWN = {
    "total_purchases": 7,
    "avg_rating": 4.5,
    "num_ratings": 3,
    "n_items": 15,
    "n_categories": 2,
    "avg_price": 9,
    "std_price": 1.5,
    "n_active_days": 1,
    "first_at": AT - 10 * DAY_S,
    "last_at": AT - 0.5 * DAY_S,
    "created_at": 0,
}
PINNED_USER = {
    "user.log_purchases": np.log(8),
    "user.avg_rating": 4.5,
    "user.log_ratings": np.log(4),
    "user.log_items": np.log(16),
    "user.n_categories": 2,
    "user.log_avg_price": np.log(10),
    "user.std_price": 1.5,
    "user.log_active_days": np.log(2),
    "user.days_since_first": 10,
    "user.days_since_last": 0.5,
    "user.log_items_per_day": np.log(8),
}


def small_catalogue():
    """Three items with features and prices that can be told apart."""
    whole = small_world().fitted.catalogue
    n = len(whole)
    own = np.arange(n * len(ITEM_FEATURES), dtype=np.float32).reshape(n, -1)
    columns = {
        **whole.columns,
        "price": NumberColumn(np.where(np.arange(n) == 2, np.nan, 4.0 + np.arange(n))),
        "created_at": NumberColumn(AT - DAY_S * np.arange(n)),
    }
    vectors = np.zeros_like(whole.vectors)
    vectors[:3, 0] = [1, 0.5, 0]
    return replace(whole, features=own, columns=columns, vectors=vectors)


CATALOGUE = small_catalogue()


def scoring_batch():
    """Two requests: rows 0 and 2, and row 1."""
    users = np.arange(2 * len(USER_FEATURES), dtype=np.float32).reshape(2, -1)
    candidates = -np.arange(3 * len(CANDIDATE_FEATURES), dtype=np.float32).reshape(3, -1)
    rows = np.array([0, 2, 1], np.int32)
    return ScoringBatch("v", np.full(2, AT), np.array([0, 2, 3]), rows, candidates, users)


class TestUserFeatures:
    def test_are_these_numbers(self):
        columns = np.array([[KNOWN[name] for name in USER_COLUMNS]], np.float64)

        [row] = user_features(columns, AT)

        assert dict(zip(USER_FEATURES, row.tolist(), strict=True)) == pytest.approx(PINNED_USER)

    def test_of_an_unknown_user_are_zero_counts_and_nothing_else(self):
        [row] = user_features(unknown_user()[None], AT)

        named = dict(zip(USER_FEATURES, row.tolist(), strict=True))
        zero = {name for name, value in named.items() if value == 0}
        assert zero == {
            *("user.log_purchases", "user.log_ratings", "user.log_items"),
            *("user.n_categories", "user.log_active_days", "user.log_items_per_day"),
        }
        assert all(np.isnan(named[name]) for name in set(named) - zero)


class TestDaysSince:
    def test_is_never_below_zero(self):
        # The clock of an old bundle stands still, and users go on.
        days = days_since(np.array([AT - DAY_S, AT + DAY_S, np.nan]), AT)

        np.testing.assert_array_equal(days, [1, 0, np.nan])


class TestCandidateFeatures:
    def test_are_these_numbers(self):
        events = make_events([1, 1, 0], [0, 3, 0], [AT - 3 * DAY_S, AT - 2 * DAY_S, AT - DAY_S])
        histories = Histories.of([events, NO_EVENTS])
        shares = np.zeros((2, CATALOGUE.categories.n_words), np.float32)
        shares[0, CATALOGUE.categories.codes[1]] = 0.75
        tastes = np.zeros((2, CATALOGUE.vectors.shape[1]), np.float32)
        tastes[0, 0] = 0.5
        log_prices = np.array([np.log(3), np.nan], np.float32)
        log_buyers = np.array([2, np.nan], np.float32)
        profiles = Profiles(
            np.ones(3, np.float32), shares, tastes, 2 * tastes, log_prices, log_buyers
        )
        tables = replace(
            small_world().fitted.tables,
            trends=np.full(len(CATALOGUE), 0.5, np.float32),
            recent_trends=np.tile(np.array([0.25, 0.5], np.float32), (len(CATALOGUE), 1)),
            # The view of item 1 does not count beside its purchase: 1 + 0.2, times 0.5 and 3.
            factors_in=np.full((len(CATALOGUE), 1), 0.5, np.float32),
            factors_out=np.full((len(CATALOGUE), 1), 3.0, np.float32),
            content_vectors=CATALOGUE.vectors,
            # The first user took two items in the last of two periods, nobody anything before.
            period_starts_at=AT - DAY_S * np.array([14.0, 7.0]),
            period_counts=np.tile(np.array([8, 5], np.float32), (len(CATALOGUE), 1)),
            period_totals=np.array([16, 20], np.float32),
            period_users=np.array([16, 10], np.float32),
        )
        scores, ranks = np.full((2, 2, len(SOURCES)), np.nan, np.float32)
        scores[0, [1, 7]], ranks[0, [1, 7]] = [0.9, 12], [2, 40]
        merged = Merged(
            offsets=np.array([0, 1, 2]),
            rows=np.array([1, 2], np.int32),
            scores=scores,
            ranks=ranks,
            fused=np.array([0.03, 0.01], np.float32),
            because=np.array([-1, -1], np.int32),
        )

        found = candidate_features(
            merged,
            Queries(
                CATALOGUE,
                tables,
                allowed=Allowed.of((CATALOGUE.listed,), np.zeros(2, int), np.empty(0, np.int64)),
                histories=histories,
                profiles=profiles,
                sizes=np.ones(2, int),
                at=np.full(2, AT),
            ),
        )

        nan = np.nan
        named = dict(zip(CANDIDATE_FEATURES, found[0].tolist(), strict=True))
        assert {
            name: named[name] for name in named if name not in SESSION_FEATURES
        } == pytest.approx(
            {
                **dict(zip(CANDIDATE_FEATURES, [nan, 0.9, *[nan] * 5, 12], strict=False)),
                **dict(zip(CANDIDATE_FEATURES[8:], [nan, 2, *[nan] * 5, 40], strict=False)),
                **dict(zip(CANDIDATE_FEATURES[16:], [nan, 1.0, nan, nan, nan], strict=False)),
                "candidate.autoencoder_plain": 1.8,
                "candidate.autoencoder_7d": 0.45,
                "candidate.autoencoder_30d": 0.9,
                "candidate.autoencoder_plain_share": 1.0,
                "candidate.autoencoder_7d_share": 1.0,
                "candidate.autoencoder_30d_share": 1.0,
                "candidate.n_sources": 2,
                "candidate.fused": 0.03,
                "candidate.category_share": 0.75,
                "candidate.taste": 0.25,
                "candidate.content": 0.5,
                "candidate.log_times_seen": np.log(3),
                "candidate.days_since_seen": 2,
                "candidate.price_to_habit": np.log(6) - np.log(3),
                "candidate.buyers_to_habit": CATALOGUE.features[1, LOG_BUYERS] - 2,
                "candidate.habit_buyers": 2,
                "candidate.log_events": np.log(4),
                "candidate.log_expected": np.log(2 * 5 / 20 + 1e-4),
                "candidate.log_expected_by_visit": np.log(5 / 10 + 1e-4),
                "candidate.pace_to_expected": np.log(13 / 36 + 1e-6) - np.log(0.5 + 1e-4),
                "candidate.factors_plain": 1.8,
                "candidate.factors": 0.9,
                "candidate.factors_plain_share": 1.0,
                "candidate.factors_share": 1.0,
            },
            nan_ok=True,
        )
        stranger = dict(zip(CANDIDATE_FEATURES, found[1].tolist(), strict=True))
        assert stranger["candidate.log_times_seen"] == stranger["candidate.log_events"] == 0
        assert np.isnan(stranger["candidate.days_since_seen"])
        assert np.isnan(stranger["candidate.price_to_habit"])


class TestAssemble:
    def test_puts_every_feature_of_every_group_in_its_column(self):
        batch = scoring_batch()

        matrix = assemble(FEATURES, CATALOGUE, batch)

        named = dict(zip(FEATURES, matrix.T, strict=True))
        for i, name in enumerate(USER_FEATURES):
            assert named[name].tolist() == batch.user_features[[0, 0, 1], i].tolist()
        for i, name in enumerate(ITEM_FEATURES):
            assert named[name].tolist() == CATALOGUE.features[[0, 2, 1], i].tolist()
        for i, name in enumerate(CANDIDATE_FEATURES):
            assert named[name].tolist() == batch.candidate_features[:, i].tolist()

    def test_crosses_are_these_numbers(self):
        crosses = assemble(("cross.age_days", "cross.price_to_avg"), CATALOGUE, scoring_batch())

        # What a user pays on average is column 5 of 11: 5 for the first, 16 for the second.
        np.testing.assert_allclose(
            crosses, [[0, np.log(5) - 5], [2, np.nan], [1, np.log(6) - 16]], rtol=1e-6
        )

    def test_an_item_that_is_dated_ahead_has_no_age(self):
        ahead = NumberColumn(np.array([AT + DAY_S, AT - 2 * DAY_S, 253_402_214_400.0]))
        catalogue = replace(CATALOGUE, columns={**CATALOGUE.columns, "created_at": ahead})

        [*ages] = assemble(("cross.age_days",), catalogue, scoring_batch())[:, 0]

        np.testing.assert_array_equal(ages, [np.nan, np.nan, 2])

    def test_gives_a_model_the_columns_that_it_was_fitted_with_in_its_order(self):
        whole = assemble(FEATURES, CATALOGUE, scoring_batch())
        chosen = (FEATURES[-1], FEATURES[3], FEATURES[12])

        matrix = assemble(chosen, CATALOGUE, scoring_batch())

        np.testing.assert_array_equal(matrix, whole[:, [FEATURES.index(name) for name in chosen]])

    def test_of_no_candidates_is_an_empty_matrix(self):
        batch = replace(
            scoring_batch(),
            offsets=np.array([0, 0, 0]),
            rows=np.empty(0, np.int32),
            candidate_features=np.empty((0, len(CANDIDATE_FEATURES)), np.float32),
        )

        assert assemble(FEATURES, CATALOGUE, batch).shape == (0, len(FEATURES))


class TestFingerprint:
    def test_of_all_features_is_this_one(self):
        assert fingerprint(FEATURES) == "94633e0a5f6c"

    @given(st.permutations(FEATURES[:6]), st.permutations(FEATURES[:6]))
    def test_is_equal_exactly_for_the_same_names_in_the_same_order(self, first, second):
        assert (fingerprint(first) == fingerprint(second)) == (first == second)

    def test_changes_with_the_definition(self, monkeypatch):
        before = fingerprint(FEATURES)
        monkeypatch.setattr(features, "DEFINITION", features.DEFINITION + 1)

        assert fingerprint(FEATURES) != before

    def test_no_feature_has_two_names(self):
        assert len(set(FEATURES)) == len(FEATURES) == 98
