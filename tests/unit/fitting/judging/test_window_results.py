from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from serve_app.arrays.columns import MISSING
from serve_app.arrays.ragged import offsets_of
from serve_app.fitting.data.labels import CLICKED, WANTED
from serve_app.fitting.data.windows import select_before
from serve_app.fitting.judging.measuring_window import N_BINS
from serve_app.fitting.judging.window_results import (
    POPULARITY,
    SERVED,
    WIDTH,
    concatenate_results,
    count_wanted,
    describe_items,
    item_coverage,
    mean_metrics,
    metrics_per_user,
    ndcg_by_order,
    source_ndcgs,
)
from serve_app.fitting.moments.examples import Examples, make_blocks
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.recommending.scoring.model_features import FEATURES, SOURCES
from tests.support.hand_made_logs import demo_shop
from tests.support.measured_windows import measured_block, outcomes_at, split, world_at


@cache
def window():
    """World, outcomes and blocks of the latest window of the demo shop."""
    at = split()
    world, found = world_at(at.evaluate_at), outcomes_at(at.evaluate_at, at.end_at)
    return world, found, list(make_blocks(world, demo_shop()[2], found, CandidatesConfig()))


@cache
def parts():
    world, found, all_blocks = window()
    return [measured_block(block, found, world) for block in all_blocks]


@cache
def measured():
    return concatenate_results(parts())


def test_measures_every_order_that_can_be_compared():
    assert set(measured().names) == {
        "main", "main_diverse", "other", "other_diverse", *SOURCES, "fused", POPULARITY, SERVED,
    }  # fmt: skip


def test_finds_the_same_figures_as_the_sources_own_ranks():
    _, found, all_blocks = window()
    n_relevant = count_wanted(found)
    buyers = [np.flatnonzero(n_relevant[block.users]) for block in all_blocks]
    ndcgs = np.concatenate(
        [
            source_ndcgs(block.examples.of_users(own), n_relevant[block.users][own])
            for block, own in zip(all_blocks, buyers, strict=True)
        ]
    )

    figures = mean_metrics(measured(), 400)

    for source, values in zip(SOURCES, ndcgs.T, strict=True):
        assert figures[source]["ndcg_at_10"] == pytest.approx(values.mean()), source


def test_has_a_row_for_each_user_who_bought_something_new():
    _, found, _ = window()

    n_relevant = count_wanted(found)

    assert measured().n_relevant.tolist() == n_relevant[n_relevant > 0].tolist()
    assert 0 < measured().candidate_recall.mean() < 1


def test_hits_are_the_places_of_what_was_bought():
    each = measured()
    for name in each.names:
        rows, hits = each.lists_of(name)[5], each.hits_of(name)[5]
        bought = each.relevant[each.offsets[5] : each.offsets[6]]
        assert hits.tolist() == np.isin(rows, bought).tolist()


def test_the_same_order_gives_the_same_lists():
    each = measured()

    for name in ("fused", SERVED):
        np.testing.assert_array_equal(each.lists_of("other"), each.lists_of(name))


def test_a_diverse_list_holds_other_items_than_a_plain_one():
    each = measured()
    plain, diverse = each.lists_of("other"), each.lists_of("other_diverse")

    assert (diverse[:, 0] == plain[:, 0]).all()
    assert (diverse != plain).any()


def test_popularity_lists_what_most_bought_without_what_the_user_bought():
    world, _, _ = window()
    items, _, log = demo_shop()
    past = select_before(log, world.at)
    bought = past.types == 3
    pairs = np.unique(np.stack([past.users[bought], past.rows[bought]]), axis=1)
    n_buyers = np.bincount(pairs[1], minlength=len(items))
    n_buyers[~world.fitted.catalogue.listed] = -1
    each = measured()
    buyers = window()[1].users[count_wanted(window()[1]) > 0]

    for i in (0, 7, 40):
        own = pairs[1][pairs[0] == buyers[i]]
        free = np.setdiff1d(np.arange(len(items)), own)
        best = np.sort(n_buyers[free])[::-1][:WIDTH]
        assert n_buyers[each.lists_of(POPULARITY)[i]].tolist() == best.tolist()
        assert each.n_past[i] == (bought & (past.users == buyers[i])).sum()


def test_says_which_sources_had_offered_what_is_recommended():
    each = measured()
    ranked = each.lists_of("main")

    assert (each.offered.any(axis=2) == (ranked != MISSING)).all()
    popular = SOURCES.index("popular")
    first = ranked[each.offered[:, :, popular]]
    tables = window()[0].fitted.tables
    assert np.isin(first, tables.popular_rows).all()


def test_calibration_counts_every_candidate_of_test_users_with_a_history_once():
    _, found, all_blocks = window()
    n_relevant, moments = count_wanted(found), found.moments
    measured_users = n_relevant > 0
    examined = measured_users & (moments.ends > moments.starts)
    n = sum(
        int(np.diff(block.examples.offsets)[examined[block.users]].sum()) for block in all_blocks
    )
    [bins] = measured().calibration

    assert bins.shape == (N_BINS, 3)
    assert examined.sum() < measured_users.sum()
    assert bins[:, 2].sum() == n
    filled = bins[:, 2] > 0
    assert (np.diff(bins[filled, 0] / bins[filled, 2]) > 0).all()


def test_parts_join_to_what_one_block_would_give(monkeypatch):
    world, found, all_blocks = window()
    monkeypatch.setattr("serve_app.fitting.moments.examples.BLOCK_USERS", 37)

    small = list(make_blocks(world, demo_shop()[2], found, CandidatesConfig()))
    again = concatenate_results([measured_block(block, found, world) for block in small])

    assert len(small) > len(all_blocks)
    assert_equal(again, measured())


def test_a_block_without_test_users_adds_nothing():
    world, found, [block, *_] = window()
    nothing = replace(found, strengths=np.ones_like(found.strengths))

    empty = measured_block(block, nothing, world)

    assert len(empty) == 0
    assert_equal(concatenate_results([empty, *parts()]), measured())


def test_measures_of_users_agree_with_each_other():
    each = measured()
    figures = metrics_per_user(each, "main")

    assert ((figures["ndcg_at_10"] > 0) == (figures["hit_rate_at_10"] == 1)).all()
    assert (figures["mrr_at_10"] <= figures["hit_rate_at_10"]).all()
    assert (figures["recall_at_10"] <= figures["recall_at_20"]).all()
    np.testing.assert_array_equal(ndcg_by_order(each, 10)["main"], figures["ndcg_at_10"])


def test_coverage_counts_items_not_places():
    each = measured()
    same = np.tile(each.lists_of("main")[:1], (len(each), 1))
    place = each.names.index("main")
    lists = each.lists.copy()
    lists[place] = same

    assert item_coverage(replace(each, lists=lists), "main", 100) == WIDTH / 100


def test_offers_tells_a_source_that_is_switched_off():
    each = measured()
    lists = each.lists.copy()
    lists[each.names.index("popular")] = MISSING
    silent = replace(each, lists=lists)

    assert each.offers("popular")
    assert not silent.offers("popular")
    assert not each.offers("nobody")


def test_items_are_as_old_as_they_were_when_the_window_began():
    world, _, _ = window()

    facts = describe_items(world.fitted.catalogue, world.at)

    assert (facts.age_days[facts.listed] >= 0).all()
    assert len(facts.titles) == len(facts.age_days)


def assert_equal(one, other):
    assert (one.names, one.calibrated) == (other.names, other.calibrated)
    for name in ("lists", "hits", "n_past", "relevant", "offsets", "n_found", "offered"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
    np.testing.assert_allclose(one.calibration, other.calibration)


def examples_of(strengths, lengths, **columns):
    matrix = np.full((len(strengths), len(FEATURES)), np.nan, np.float32)
    for name, values in columns.items():
        matrix[:, FEATURES.index(f"candidate.{name}")] = values
    shares = np.ones(len(strengths), np.float32)
    return Examples(matrix, np.array(strengths, np.uint8), shares, offsets_of(lengths))


class TestSources:
    def test_each_is_measured_by_its_own_ranks_on_what_counts(self):
        examples = examples_of(
            [0, WANTED, CLICKED, WANTED],
            [3, 1],
            popular_rank=[1, 2, 3, np.nan],
            similar_users_rank=[np.nan, np.nan, np.nan, 1],
        )

        ndcgs = source_ndcgs(examples, np.array([1, 2]))

        of_two = 1 + 1 / np.log2(3)
        assert ndcgs[:, SOURCES.index("popular")] == pytest.approx([1 / np.log2(3), 0])
        assert ndcgs[:, SOURCES.index("similar_users")] == pytest.approx([0, 1 / of_two])
