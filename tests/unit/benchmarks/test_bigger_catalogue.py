from dataclasses import replace

import numpy as np
import pytest

from benchmarks.bigger_catalogue import enlarged_catalogue, enlarged_tables
from serve_app.recommending.candidates.finding import CandidateFinder, CandidatesConfig
from tests.support.small_world import batch_of, small_world

N_COPIES = 4


@pytest.fixture(scope="module")
def large():
    world = small_world()
    catalogue = enlarged_catalogue(world.fitted.catalogue, N_COPIES)
    return catalogue, enlarged_tables(
        world.fitted.tables, world.fitted.catalogue, catalogue, N_COPIES
    )


def test_every_item_and_copy_has_its_own_row_and_id(large):
    catalogue, _ = large
    n = len(small_world().fitted.catalogue)

    ids = catalogue.item_ids.take(range(len(catalogue)))
    assert len(set(ids)) == len(catalogue) == N_COPIES * n
    assert np.array_equal(catalogue.index.find(ids), np.arange(N_COPIES * n))


def test_orders_hold_every_listed_row_once_by_popularity(large):
    catalogue, tables = large
    listed = np.flatnonzero(catalogue.listed)

    assert np.array_equal(np.sort(tables.popular_rows), listed)
    assert (np.diff(catalogue.number("popularity")[tables.popular_rows]) <= 0).all()
    offsets = tables.category_offsets
    for code in range(catalogue.categories.n_words):
        rows = tables.category_rows[offsets[code] : offsets[code + 1]]
        assert (catalogue.categories.codes[rows] == code).all()


def test_the_neighbours_of_copies_are_copies(large):
    _, tables = large
    n = len(small_world().fitted.catalogue)
    offsets = tables.neighbour_offsets

    for row in range(N_COPIES * n):
        neighbours = tables.neighbour_rows[offsets[row] : offsets[row + 1]]
        assert (neighbours // n == row // n).all()


def test_finds_candidates_in_the_larger_catalogue(large):
    catalogue, tables = large
    world = small_world()
    batch = batch_of(("u000001", "nobody"))
    histories = world.fitted.archive.read(batch.user_ids, stale=False)

    fitted = replace(world.fitted, catalogue=catalogue, tables=tables)
    found = CandidateFinder.of(fitted, CandidatesConfig()).find(batch, histories)

    assert (np.diff(found.offsets) >= 100).all()
    assert (found.rows < len(catalogue)).all()
