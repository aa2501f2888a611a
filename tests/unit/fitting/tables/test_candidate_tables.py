from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from serve_app.arrays.columns import IdIndex, NumberColumn
from serve_app.arrays.ragged import owners
from serve_app.domain.interactions import TYPE_WEIGHTS
from serve_app.domain.scoring.model_features import TREND_DAYS
from serve_app.fitting.data.items import catalogue_of
from serve_app.fitting.data.pairs import pairs_of
from serve_app.fitting.moments.snapshot import archive_of, listed_at
from serve_app.fitting.tables.candidate_tables import (
    TablesConfig,
    candidate_tables,
    linear_of,
    neighbours,
)
from serve_app.fitting.tables.vectors import (
    content_matrix,
    content_vectors,
    item_factors,
    item_vectors,
)
from tests.support.hand_made_logs import DAY_S, items_of, log_of


def shop(items, log, popularity=None):
    catalogue = catalogue_of(items, log, 2)
    numbers = np.zeros(len(items)) if popularity is None else np.array(popularity, float)
    return replace(catalogue, columns={**catalogue.columns, "popularity": NumberColumn(numbers)})


def tables_of(items, log, popularity=None, **config):
    return candidate_tables(shop(items, log, popularity), log, AT, TablesConfig(**config))


def the_list(values, offsets, i):
    return values[offsets[i] : offsets[i + 1]].tolist()


def neighbours_of(log, row, n_rows, **config):
    found = neighbours(
        pairs_of(log, TYPE_WEIGHTS), n_rows, len(log.user_ids), TablesConfig(**config)
    )
    return dict(
        zip(
            the_list(found.rows, found.offsets, row),
            the_list(found.scores, found.offsets, row),
            strict=True,
        )
    )


AT = 100 * DAY_S
NOTHING = log_of(users=())


class TestOrders:
    def test_popular_items_come_first_and_ties_go_to_the_smaller_row(self):
        tables = tables_of(items_of(4), NOTHING, popularity=[1, 3, 3, 2])

        assert tables.popular_rows.tolist() == [1, 2, 3, 0]

    def test_each_category_has_its_own_order(self):
        items = items_of(4, category=["b", "a", "b", "a"])

        tables = tables_of(items, NOTHING, popularity=[1, 2, 3, 4])

        assert the_list(tables.category_rows, tables.category_offsets, 0) == [3, 1]
        assert the_list(tables.category_rows, tables.category_offsets, 1) == [2, 0]

    def test_newest_items_come_first_and_those_of_unknown_age_not_at_all(self):
        items = items_of(3, created_at=[DAY_S, np.nan, 9 * DAY_S])

        assert tables_of(items, NOTHING).newest_rows.tolist() == [2, 0]

    def test_holds_listed_rows_only(self):
        items = items_of(2, item_row=np.array([0, 2], np.int32))
        log = log_of(("ann", 0, "purchase", 1), ("ann", 2, "purchase", 1))
        catalogue = replace(shop(items, log, [0, 0]), listed=np.array([True, False, False]))
        catalogue = replace(
            catalogue, columns={**catalogue.columns, "popularity": NumberColumn(np.zeros(3))}
        )

        tables = candidate_tables(catalogue, log, AT, TablesConfig())

        for rows in (tables.popular_rows, tables.newest_rows, tables.basket_rows):
            assert rows.tolist() == [0]
        assert tables.neighbour_rows.tolist() == []


class TestBuyersAndBaskets:
    LOG = log_of(
        ("ann", 0, "purchase", 1),
        ("ann", 1, "purchase", 2),
        ("ann", 0, "purchase", 3),
        ("bob", 0, "purchase", 4),
        ("bob", 1, "view", 5),
    )

    def test_come_once_and_latest_first(self):
        tables = tables_of(items_of(2), self.LOG)

        assert the_list(tables.buyers, tables.buyer_offsets, 0) == [1, 0]
        assert the_list(tables.buyers, tables.buyer_offsets, 1) == [0]
        assert the_list(tables.basket_rows, tables.basket_offsets, 0) == [0, 1]
        assert the_list(tables.basket_rows, tables.basket_offsets, 1) == [0]

    def test_are_cut_at_their_limits(self):
        tables = tables_of(items_of(2), self.LOG, max_buyers_per_item=1, max_items_per_user=1)

        assert the_list(tables.buyers, tables.buyer_offsets, 0) == [1]
        assert the_list(tables.basket_rows, tables.basket_offsets, 0) == [0]


class TestWeights:
    LOG = log_of(
        ("ann", 0, "purchase", 90), ("ann", 1, "purchase", 100), ("bob", 1, "purchase", 80)
    )

    def test_a_purchase_counts_half_after_a_half_life(self):
        tables = tables_of(items_of(2), self.LOG, votes_half_life_days=10)

        assert the_list(tables.basket_weights, tables.basket_offsets, 0) == [1.0, 0.5]
        assert the_list(tables.basket_weights, tables.basket_offsets, 1) == [0.25]

    def test_trend_is_the_share_of_late_buyers(self):
        tables = tables_of(items_of(2), self.LOG, trend_half_life_days=10, trend_exponent=1)

        assert tables.trends == pytest.approx([0.51 / 2, 1.26 / 3])

    def test_recent_trends_are_there_by_half_life(self):
        tables = tables_of(items_of(2), self.LOG)

        late = np.exp2(-10 / np.array(TREND_DAYS))
        assert tables.recent_trends[0] == pytest.approx((late + 0.01) / 2)


class TestLinear:
    DEEDS = tuple((f"u{i}", row, "purchase", 1) for i in range(9) for row in {i % 2, 2, i % 3})
    LOG = log_of(*DEEDS)

    def weights(self, words=None, **config):
        content = csr_array((4, 1)) if words is None else csr_array(np.array(words, float))
        found = linear_of(pairs_of(self.LOG, TYPE_WEIGHTS), 4, 9, content, TablesConfig(**config))
        dense = np.zeros((4, 4))
        dense[owners(found.offsets), found.rows] = found.weights
        return dense

    def test_is_the_best_linear_map_of_baskets_to_themselves_without_a_diagonal(self):
        pairs = pairs_of(self.LOG, TYPE_WEIGHTS)
        baskets = np.zeros((9, 4))
        baskets[pairs.users, pairs.rows] = 1
        expected = np.zeros((4, 4))
        for row in range(3):
            others = [other for other in range(3) if other != row]
            known = baskets[:, others]
            expected[others, row] = np.linalg.solve(
                known.T @ known + 5.0 * np.eye(2), known.T @ baskets[:, row]
            )

        np.testing.assert_allclose(self.weights(regularization=5.0), expected, atol=1e-6)

    def test_keeps_the_strongest_weights_and_the_most_bought_items(self):
        assert (self.weights(max_linear_weights=1) != 0).sum(axis=1).tolist() == [1, 1, 1, 0]
        assert (self.weights(max_linear_items=2) != 0).sum() == 2

    def test_is_empty_where_no_two_items_have_two_users(self):
        log = log_of(("ann", 0, "purchase", 1), ("bob", 1, "purchase", 1))

        content = csr_array((2, 1))
        found = linear_of(pairs_of(log, TYPE_WEIGHTS), 2, 2, content, TablesConfig())

        assert found.offsets.tolist() == [0, 0, 0]

    def test_a_word_counts_as_users_who_took_all_its_items(self):
        words = [[1, 0], [0, 1], [0, 1], [0, 0]]
        users = [(f"w{i}", row, "purchase", 1) for i in range(3) for row in (1, 2)]
        users += [(f"v{i}", 0, "purchase", 1) for i in range(3)]
        log = log_of(*self.DEEDS, *users)
        pairs = pairs_of(log, TYPE_WEIGHTS)
        more_users = linear_of(
            pairs, 4, len(log.user_ids), csr_array((4, 1)), TablesConfig(regularization=2)
        )

        by_words = self.weights(words, regularization=2, content_weight=3)

        assert by_words[by_words != 0] == pytest.approx(more_users.weights, abs=1e-6)

    def test_words_that_count_nothing_change_nothing(self):
        words = [[1], [0], [1], [0]]

        without = self.weights(None, regularization=2, content_weight=3)

        assert self.weights(words, regularization=2, content_weight=0) == pytest.approx(without)
        assert self.weights(words, regularization=2, content_weight=3)[0, 2] > without[0, 2]


class TestContentVectors:
    def test_items_of_the_same_words_point_the_same_way(self):
        titles = ["Red mug", "red mug", "Blue oak lamp", "blue OAK lamp", "nothing alike"]
        catalogue = catalogue_of(items_of(5, title=titles), NOTHING, 2)

        vectors = content_vectors(content_matrix(catalogue), 2)

        cosines = vectors @ vectors.T
        assert cosines[0, 1] == pytest.approx(1.0, abs=1e-5)
        assert cosines[2, 3] == pytest.approx(1.0, abs=1e-5)
        assert cosines[0, 2] == pytest.approx(0.0, abs=1e-5)
        assert not vectors[4].any()


class TestNeighbours:
    def test_score_is_the_cosine_when_nothing_is_shrunk(self):
        log = log_of(
            ("ann", 0, "purchase", 1),
            ("ann", 1, "purchase", 1),
            ("bob", 0, "purchase", 1),
            ("bob", 1, "purchase", 1),
            ("cid", 1, "purchase", 1),
        )

        # Baskets of two count 1 / sqrt(2): the columns are (.7, .7, 0) and (.7, .7, 1).
        cosine = 1.0 / (1.0 * np.sqrt(2.0))
        assert neighbours_of(log, 0, 2, shrinkage=0.0) == {1: pytest.approx(cosine)}

    def test_shrinks_what_met_by_chance(self):
        often = [(f"u{i}", row, "purchase", 1) for i in range(5) for row in (0, 1)]
        log = log_of(*often, ("ann", 2, "purchase", 1), ("ann", 3, "purchase", 1))

        assert neighbours_of(log, 0, 4)[1] > neighbours_of(log, 2, 4)[3] > 0

    def test_an_item_is_no_neighbour_of_itself(self):
        log = log_of(("ann", 0, "purchase", 1), ("ann", 1, "purchase", 1))

        assert set(neighbours_of(log, 0, 2)) == {1}

    def test_a_purchase_joins_more_than_a_view(self):
        log = log_of(
            ("ann", 0, "purchase", 1),
            ("ann", 1, "purchase", 1),
            ("ann", 2, "view", 1),
        )

        found = neighbours_of(log, 0, 3)

        assert list(found) == [1, 2]

    def test_keeps_the_best_only_and_breaks_ties_by_row(self):
        log = log_of(*[("ann", row, "purchase", 1) for row in range(5)])

        assert list(neighbours_of(log, 0, 5, max_neighbours=2)) == [1, 2]

    def test_uses_the_latest_items_of_a_user_who_bought_everything(self):
        log = log_of(*[("ann", row, "purchase", row) for row in range(5)])

        assert neighbours_of(log, 0, 5, max_items_per_user=2) == {}
        assert list(neighbours_of(log, 4, 5, max_items_per_user=2)) == [3]

    def test_are_the_same_in_blocks_as_in_one_product(self, monkeypatch):
        rng = np.random.default_rng(0)
        log = log_of(
            *[(f"u{rng.integers(9)}", int(rng.integers(30)), "purchase", i) for i in range(200)]
        )
        whole = neighbours(pairs_of(log, TYPE_WEIGHTS), 30, 9, TablesConfig())

        monkeypatch.setattr("serve_app.fitting.tables.candidate_tables._BLOCK_ROWS", 7)
        parts = neighbours(pairs_of(log, TYPE_WEIGHTS), 30, 9, TablesConfig())

        for one, other in zip(whole, parts, strict=True):
            np.testing.assert_array_equal(one, other)


class TestItemVectors:
    LOG = log_of(
        *[(f"u{i}", row, "purchase", 1) for i in range(6) for row in (0, 1)],
        *[(f"v{i}", row, "purchase", 1) for i in range(5) for row in (2, 3)],
    )

    def test_items_of_the_same_users_point_the_same_way(self):
        vectors = item_vectors(self.LOG, 5, 2)

        cosines = vectors @ vectors.T
        assert cosines[0, 1] == pytest.approx(1.0, abs=1e-4)
        assert cosines[2, 3] == pytest.approx(1.0, abs=1e-4)
        assert cosines[0, 2] == pytest.approx(0.0, abs=1e-4)

    def test_have_unit_length_or_are_zero_without_interactions(self):
        lengths = np.linalg.norm(item_vectors(self.LOG, 5, 2), axis=1)

        np.testing.assert_allclose(lengths, [1, 1, 1, 1, 0], rtol=1e-5)

    def test_are_the_same_every_time(self):
        np.testing.assert_array_equal(item_vectors(self.LOG, 5, 3), item_vectors(self.LOG, 5, 3))

    @pytest.mark.parametrize("log", [NOTHING, log_of(("ann", 0, "view", 1))])
    def test_are_zero_where_there_is_too_little_to_decompose(self, log):
        np.testing.assert_array_equal(item_vectors(log, 3, 4), np.zeros((3, 4)))


class TestItemFactors:
    LOG = TestItemVectors.LOG

    def factors(self, log, n_dimensions=4, shrinkage=0.0):
        pairs = pairs_of(log, TYPE_WEIGHTS)
        return item_factors(pairs, 5, len(log.user_ids), n_dimensions, shrinkage)

    def test_expect_of_a_user_what_those_took_who_took_the_same(self):
        found = self.factors(self.LOG, 2)

        expected = found.taken @ found.offered.T
        assert expected[0] == pytest.approx([0.5, 0.5, 0, 0, 0], abs=1e-6)
        assert expected[2] == pytest.approx([0, 0, 0.5, 0.5, 0], abs=1e-6)

    def test_a_factor_weaker_than_the_shrinkage_says_nothing(self):
        # Two items of six users against two of five: as strong as the fourth roots of 12 and 10.
        found = self.factors(self.LOG, 2, shrinkage=0.96)

        expected = found.taken @ found.offered.T
        assert expected[0, 1] == pytest.approx(0.02, abs=1e-6)
        assert not expected[2].any()

    @pytest.mark.parametrize("log", [NOTHING, log_of(("ann", 0, "view", 1))])
    def test_are_zero_where_there_is_too_little_to_decompose(self, log):
        assert not any(each.any() for each in self.factors(log))


class TestSnapshot:
    def test_archive_holds_the_events_of_every_user_in_order(self):
        log = log_of(("bob", 3, "view", 2), ("ann", 1, "rating", 9, 5.0), ("ann", 2, "purchase", 1))

        histories = archive_of(log, IdIndex.of(log.user_ids)).read(
            ["bob", "ann", "nobody"], stale=True
        )

        assert histories.offsets.tolist() == [0, 1, 3, 3]
        assert histories.of_user(1)["row"].tolist() == [2, 1]
        assert histories.of_user(1)["value"][1] == 5.0
        assert histories.stale.all()

    def test_lists_items_from_their_first_moment_on(self):
        items = items_of(3, created_at=[1 * DAY_S, 3 * DAY_S, np.nan])

        listed = listed_at(catalogue_of(items, NOTHING, 2), 2 * DAY_S)

        assert listed.tolist() == [True, False, True]
