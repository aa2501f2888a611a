import numpy as np
import pytest

from serve_app.arrays.columns import MISSING
from serve_app.domain.interactions import TYPE_WEIGHTS
from serve_app.domain.words import words_of
from serve_app.fitting.data.items import build_catalogue
from serve_app.fitting.data.pairs import find_pairs
from serve_app.fitting.tables.vectors import (
    compute_content_matrix,
    compute_content_vectors,
    compute_item_factors,
    compute_item_vectors,
)
from tests.support.hand_made_logs import items_of, log_of

NOTHING = log_of(users=())


class TestContentVectors:
    def test_items_of_the_same_words_point_the_same_way(self):
        titles = ["Red mug", "red mug", "Blue oak lamp", "blue OAK lamp", "nothing alike"]
        catalogue = build_catalogue(items_of(5, title=titles), NOTHING, 2)

        vectors = compute_content_vectors(compute_content_matrix(catalogue), 2).content_vectors

        cosines = vectors @ vectors.T
        assert cosines[0, 1] == pytest.approx(1.0, abs=1e-5)
        assert cosines[2, 3] == pytest.approx(1.0, abs=1e-5)
        assert cosines[0, 2] == pytest.approx(0.0, abs=1e-5)
        assert not vectors[4].any()

    def test_the_words_of_an_item_lead_to_its_vector(self):
        titles = ["Red mug", "red mug blue", "Blue oak lamp", "oak lamp red", "nothing alike"]
        catalogue = build_catalogue(items_of(5, title=titles), NOTHING, 2)

        found = compute_content_vectors(compute_content_matrix(catalogue), 3)

        for title, vector in zip(titles[:4], found.content_vectors, strict=False):
            rows = found.word_index.find(words_of(title, ()))
            folded = found.word_vectors[rows[rows != MISSING]].sum(axis=0)
            assert folded / np.linalg.norm(folded) == pytest.approx(vector, abs=1e-5)
        assert (found.word_index.find(["nothing", "other"]) == MISSING).all()

    def test_empty_rows_do_not_change_the_vectors_of_items(self):
        titles = ["Red mug", "red mug blue", "Blue oak lamp", "oak lamp red"]
        items = items_of(4, title=titles)
        plain, spare = (
            compute_content_vectors(
                compute_content_matrix(build_catalogue(items, NOTHING, 2, n)), 2
            ).content_vectors
            for n in (0, 10)
        )

        assert spare[:4] @ spare[:4].T == pytest.approx(plain @ plain.T, abs=1e-5)
        assert not spare[4:].any()


class TestItemVectors:
    LOG = log_of(
        *[(f"u{i}", row, "purchase", 1) for i in range(6) for row in (0, 1)],
        *[(f"v{i}", row, "purchase", 1) for i in range(5) for row in (2, 3)],
    )

    def test_items_of_the_same_users_point_the_same_way(self):
        vectors = compute_item_vectors(self.LOG, 5, 2)

        cosines = vectors @ vectors.T
        assert cosines[0, 1] == pytest.approx(1.0, abs=1e-4)
        assert cosines[2, 3] == pytest.approx(1.0, abs=1e-4)
        assert cosines[0, 2] == pytest.approx(0.0, abs=1e-4)

    def test_have_unit_length_or_are_zero_without_interactions(self):
        lengths = np.linalg.norm(compute_item_vectors(self.LOG, 5, 2), axis=1)

        np.testing.assert_allclose(lengths, [1, 1, 1, 1, 0], rtol=1e-5)

    def test_are_the_same_every_time(self):
        np.testing.assert_array_equal(
            compute_item_vectors(self.LOG, 5, 3), compute_item_vectors(self.LOG, 5, 3)
        )

    @pytest.mark.parametrize("log", [NOTHING, log_of(("ann", 0, "view", 1))])
    def test_are_zero_where_there_is_too_little_to_decompose(self, log):
        np.testing.assert_array_equal(compute_item_vectors(log, 3, 4), np.zeros((3, 4)))


class TestItemFactors:
    LOG = TestItemVectors.LOG

    def factors(self, log, n_dimensions=4, shrinkage=0.0):
        pairs = find_pairs(log, TYPE_WEIGHTS)
        return compute_item_factors(pairs, 5, len(log.user_ids), n_dimensions, shrinkage)

    def test_expect_of_a_user_what_those_took_who_took_the_same(self):
        factors = self.factors(self.LOG, 2)

        expected = factors.factors_in @ factors.factors_out.T
        assert expected[0] == pytest.approx([0.5, 0.5, 0, 0, 0], abs=1e-6)
        assert expected[2] == pytest.approx([0, 0, 0.5, 0.5, 0], abs=1e-6)

    def test_a_factor_weaker_than_the_shrinkage_says_nothing(self):
        # Two items of six users against two of five: as strong as the fourth roots of 12 and 10.
        factors = self.factors(self.LOG, 2, shrinkage=0.96)

        expected = factors.factors_in @ factors.factors_out.T
        assert expected[0, 1] == pytest.approx(0.02, abs=1e-6)
        assert not expected[2].any()

    @pytest.mark.parametrize("log", [NOTHING, log_of(("ann", 0, "view", 1))])
    def test_are_zero_where_there_is_too_little_to_decompose(self, log):
        assert not any(each.any() for each in self.factors(log))
