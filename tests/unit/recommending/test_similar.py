from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.arrays.columns import MISSING
from serve_app.arrays.ragged import offsets_of
from serve_app.domain.filters.allowed import Allowed
from serve_app.domain.filters.allowed_items import AllowedItems
from serve_app.recommending.similar import similar_items
from tests.support.small_world import small_world

WORLD = small_world()
CATALOGUE, TABLES = WORLD.fitted.catalogue, WORLD.fitted.tables
ALLOWED = AllowedItems(CATALOGUE)


def excluding(*rows):
    return ALLOWED.for_request(None, np.array(sorted(rows), np.int32))


def similar(row, n, allowed=None):
    return similar_items(row, n, CATALOGUE, TABLES, allowed or excluding(row))


@pytest.fixture(scope="module")
def related():
    """The row with most neighbours."""
    return int(np.argmax(np.diff(TABLES.neighbour_offsets)))


def neighbours(row):
    own = slice(TABLES.neighbour_offsets[row], TABLES.neighbour_offsets[row + 1])
    return TABLES.neighbour_rows[own], TABLES.neighbour_scores[own]


def test_neighbours_come_first_with_their_cosine(related):
    rows, scores = neighbours(related)
    kept = CATALOGUE.sellable[rows]

    found = similar(related, 5)

    assert found.rows.tolist() == rows[kept][:5].tolist()
    np.testing.assert_array_equal(found.scores, scores[kept][:5])


def test_then_comes_what_is_popular_in_its_category_then_what_is_popular(related):
    rows, _ = neighbours(related)

    found = similar(related, 290)

    n_near = int(CATALOGUE.sellable[rows].sum())
    codes = CATALOGUE.categories.codes
    is_alike = codes[found.rows[n_near:]] == codes[related]
    assert (found.scores[:n_near] > 0).all()
    assert (found.scores[n_near:] == 0).all()
    assert is_alike.any()
    assert (np.diff(is_alike.astype(int)) <= 0).all()


def test_an_item_without_category_is_followed_by_popular_ones(related):
    codes = CATALOGUE.categories.codes.copy()
    codes[related] = MISSING
    columns = {**CATALOGUE.columns, "category": replace(CATALOGUE.categories, codes=codes)}
    rows, _ = neighbours(related)
    allowed = excluding(related, *rows)

    found = similar_items(related, 5, replace(CATALOGUE, columns=columns), TABLES, allowed)

    assert found.rows.tolist() == allowed.first(TABLES.popular_rows, 5)[0].tolist()


def test_a_neighbour_that_is_not_allowed_is_left_out(related):
    first = int(similar(related, 1).rows[0])

    found = similar(related, 5, excluding(related, first))

    assert first not in found.rows
    assert len(found.rows) == 5


@given(
    row=st.integers(0, len(CATALOGUE) - 1),
    n=st.integers(1, 400),
    hidden=st.sets(st.integers(0, len(CATALOGUE) - 1)),
)
@settings(max_examples=80, deadline=None)
def test_gives_every_other_allowed_item_or_as_many_as_are_wanted(row, n, hidden):
    mask = CATALOGUE.sellable.copy()
    mask[list(hidden)] = False
    allowed = Allowed.of((mask,), np.zeros(1, int), np.empty(0, np.int64))
    n_others = int(mask.sum() - mask[row])

    found = similar(row, n, allowed)

    assert len(found.rows) == len(found.scores) == min(n, n_others)
    assert len(set(found.rows.tolist())) == len(found.rows)
    assert mask[found.rows].all()
    assert row not in found.rows


def test_an_item_without_neighbours_is_near_items_of_its_category_with_its_words():
    row = 7
    alike = CATALOGUE.categories.codes == CATALOGUE.categories.codes[row]
    twin = next(
        other for other in np.flatnonzero(alike & CATALOGUE.sellable).tolist() if other != row
    )
    vectors = np.zeros_like(TABLES.content_vectors[np.arange(len(CATALOGUE))])
    vectors[[row, twin], 0] = 1.0
    lengths = np.diff(TABLES.neighbour_offsets)
    own = slice(TABLES.neighbour_offsets[row], TABLES.neighbour_offsets[row + 1])
    lengths[row] = 0
    tables = replace(
        TABLES,
        content_vectors=vectors,
        neighbour_offsets=offsets_of(lengths),
        neighbour_rows=np.delete(TABLES.neighbour_rows, own),
        neighbour_scores=np.delete(TABLES.neighbour_scores, own),
    )

    found = similar_items(row, 4, CATALOGUE, tables, excluding(row))

    assert (found.rows[0], found.scores.tolist()) == (twin, [1.0, 0.0, 0.0, 0.0])
    assert len(found.rows) == 4
