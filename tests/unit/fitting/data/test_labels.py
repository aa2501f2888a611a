"""Tests what counts in a shop, and what that ends."""

import numpy as np
import pytest

from serve_app.domain.interactions import INTERACTION_TYPES, PURCHASE, RATING, TYPE_CODES
from serve_app.fitting.data.labels import (
    BOUGHT,
    WANTED,
    Label,
    LabelConfig,
    choose_label,
    rating_scale,
)
from tests.support.hand_made_logs import log_of


def names(types):
    return {name for name, ends in zip(INTERACTION_TYPES, types, strict=True) if ends}


class TestTypeThatCounts:
    def test_is_the_strongest_that_is_frequent(self):
        many = [("ann", row, "cart", 1) for row in range(50)]

        assert (
            choose_label(log_of(*many, ("ann", 1, "view", 1)), LabelConfig()).type
            == (TYPE_CODES["cart"])
        )
        assert (
            choose_label(log_of(*many, ("ann", 1, "purchase", 1)), LabelConfig()).type == PURCHASE
        )

    def test_ignores_what_hardly_happens(self):
        clicks = [("ann", row, "click", 1) for row in range(200)]
        label = choose_label(log_of(*clicks, ("ann", 1, "purchase", 1)), LabelConfig())

        assert label.type == TYPE_CODES["click"]

    @pytest.mark.parametrize("name", [name for name in INTERACTION_TYPES if name != "return"])
    def test_can_be_set(self, name):
        log = log_of(("ann", 0, "purchase", 1))

        assert choose_label(log, LabelConfig(type=name)).type == TYPE_CODES[name]

    def test_stands_in_the_settings_that_give_it_again(self):
        label = Label(RATING, min_rating=3.5, repeats=True)

        assert choose_label(log_of(("ann", 0, "view", 1)), label.config) == label


class TestWhatEnds:
    def test_what_counts_and_what_was_bought_is_not_recommended_again(self):
        assert names(BOUGHT.ending_types) == {"purchase"}
        assert names(Label(TYPE_CODES["click"]).ending_types) == {"click", "purchase"}

    def test_nothing_ends_where_repeats_count(self):
        assert names(Label(PURCHASE, repeats=True).ending_types) == set()


class TestStrengths:
    LOG = log_of(
        ("ann", 0, "view", 1), ("ann", 1, "click", 2), ("ann", 2, "cart", 3),
        ("ann", 3, "purchase", 4), ("ann", 4, "rating", 5, 5.0), ("ann", 5, "rating", 6, 3.0),
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("name", "strengths"),
        [
            ("purchase", [1, 3, 4, WANTED, 2, 2]),
            ("click", [1, WANTED, 4, 4, 2, 2]),
            ("rating", [1, 3, 4, 4, WANTED, 2]),
            ("view", [WANTED, 3, 4, 4, 2, 2]),
        ],
    )
    def test_are_greatest_for_what_counts(self, name, strengths):
        label = Label(TYPE_CODES[name])

        assert label.strengths(self.LOG).tolist() == strengths
        np.testing.assert_array_equal(label.counts(self.LOG), np.array(strengths) == WANTED)


@pytest.mark.parametrize(("max_rating", "least"), [(5.0, 4.0), (10.0, 8.0), (1.0, 0.8), (100, 80)])
def test_a_liked_rating_follows_the_scale(max_rating, least):
    assert LabelConfig(type="rating").on_scale(max_rating).min_rating == pytest.approx(least)


@pytest.mark.parametrize(
    ("ratings", "scale"),
    [((1, 5), 5), ((4.5,), 5), ((3, 9.5), 9.5), ((10,), 10), ((0, 1), 1), ((np.nan,), 5), ((), 5)],
)
def test_the_scale_of_the_data_says_what_is_liked(ratings, scale):
    rated = [("ann", i, "rating", i, value) for i, value in enumerate(ratings)]
    log = log_of(*rated, ("bob", 0, "purchase", 1, 90.0))

    assert rating_scale(log) == scale
    liked = choose_label(log, LabelConfig(type="rating")).min_rating
    assert liked == pytest.approx(0.8 * scale)
    assert choose_label(log, LabelConfig(type="rating", min_rating=2)).min_rating == 2


def test_a_liked_rating_that_was_set_stays_on_every_scale():
    assert LabelConfig(min_rating=6.0).on_scale(10.0) == LabelConfig(min_rating=6.0)
