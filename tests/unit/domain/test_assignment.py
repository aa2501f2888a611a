from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from serve_app.domain.assignment import Experiment, assign, hash_fraction

property_test = settings(max_examples=100, deadline=None)

USERS = [f"user-{i}" for i in range(10_000)]
THIRDS = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}


def assignments(weights, salt="homepage", users=USERS) -> list[str]:
    experiment = Experiment(salt=salt, weights=weights)
    return [assign(experiment, user) for user in users]


def moved(before, after) -> set[tuple[str, str]]:
    """Distinct (variant before, variant after) of the users that change."""
    return {(old, new) for old, new in zip(before, after, strict=True) if old != new}


class TestHashFraction:
    @pytest.mark.parametrize(
        ("parts", "fraction"),
        [
            ((), 0.8931675160897389),
            (("",), 0.30670447259107914),
            (("ann",), 0.4663475557525322),
            (("Zoë",), 0.40737066654114307),
            (("variant", "homepage", "main", "ann"), 0.3652305142065383),
        ],
    )
    def test_never_changes(self, parts, fraction):
        assert hash_fraction(*parts) == fraction

    def test_knows_where_a_part_ends(self):
        spellings = [("a", "bc"), ("ab", "c"), ("abc",), ("abc", ""), ("", "abc")]

        assert len({hash_fraction(*parts) for parts in spellings}) == len(spellings)

    @property_test
    @given(st.lists(st.text(), max_size=4))
    def test_lies_strictly_between_0_and_1(self, parts):
        assert 0 < hash_fraction(*parts) < 1

    def test_is_uniform(self):
        fractions = [hash_fraction("uniform", user) for user in USERS]

        assert stats.kstest(fractions, "uniform").pvalue > 1e-4


class TestAssign:
    @pytest.mark.parametrize("weights", [THIRDS, {"a": 90, "b": 9, "c": 1}, {"a": 1, "b": 1}])
    def test_splits_users_by_weight(self, weights):
        counts = Counter(assignments(weights))
        expected = [len(USERS) * w / sum(weights.values()) for w in weights.values()]

        assert stats.chisquare([counts[name] for name in weights], expected).pvalue > 1e-4

    def test_experiments_with_different_salts_split_independently(self):
        pairs = Counter(zip(assignments(THIRDS, "one"), assignments(THIRDS, "two"), strict=True))
        table = [[pairs[first, second] for second in THIRDS] for first in THIRDS]

        assert stats.chi2_contingency(table).pvalue > 1e-4

    def test_never_changes(self):
        users = ["ann", "bob", "cleo", "dan", "eve", "", "Zoë"]

        assert assignments(THIRDS, users=users) == ["b", "c", "c", "b", "c", "b", "b"]

    def test_gives_nobody_to_a_variant_of_weight_0(self):
        assert set(assignments({"a": 1, "b": 0, "c": 1})) == {"a", "c"}

    def test_depends_on_the_ratio_of_the_weights_alone(self):
        assert assignments({"a": 1, "b": 3}) == assignments({"b": 0.75, "a": 0.25})

    @pytest.mark.parametrize(
        ("before", "after"),
        [(THIRDS, {"a": 0.2, "b": 0.4, "c": 0.4}), ((0.6, 0.3, 0.1), (0.2, 0.3, 0.5))],
    )
    def test_a_change_of_weights_moves_few_users(self, before, after):
        # The total variation distance is the least that any assignment must move; the minima of
        # independent exponential clocks move at most 2 tv / (1 + tv).
        before, after = (
            w if isinstance(w, dict) else dict(zip("abc", w, strict=True)) for w in (before, after)
        )
        tv = sum(abs(before[name] - after[name]) for name in before) / 2
        pairs = zip(assignments(before), assignments(after), strict=True)
        share_moved = sum(old != new for old, new in pairs) / len(USERS)

        assert tv - 0.02 < share_moved < 2 * tv / (1 + tv) + 0.02

    def test_a_raised_weight_only_draws_users_to_its_variant(self):
        change = moved(assignments({"a": 1, "b": 1, "c": 1}), assignments({"a": 1, "b": 2, "c": 1}))

        assert change == {("a", "b"), ("c", "b")}

    def test_without_a_variant_only_its_own_users_move(self):
        assert moved(assignments(THIRDS), assignments({"a": 1, "c": 1})) == {("b", "a"), ("b", "c")}

    @property_test
    @given(
        weights=st.dictionaries(st.text(min_size=1, max_size=3), st.floats(0, 100), min_size=1),
        user=st.text(),
    )
    def test_anybody_gets_a_variant_that_has_weight(self, weights, user):
        if any(weights.values()):
            assert weights[assign(Experiment(salt="s", weights=weights), user)] > 0


class TestExperiment:
    @pytest.mark.parametrize(
        ("weights", "reason"),
        [
            ({}, "weight above 0"),
            ({"a": 0, "b": 0}, "weight above 0"),
            ({"a": -1, "b": 2}, "greater than or equal to 0"),
            ({"a": float("nan")}, "finite number"),
            ({"a": float("inf")}, "finite number"),
            ({"": 1}, "at least 1 character"),
        ],
    )
    def test_refuses_weights_that_split_nothing(self, weights, reason):
        with pytest.raises(ValidationError, match=reason):
            Experiment(salt="s", weights=weights)
