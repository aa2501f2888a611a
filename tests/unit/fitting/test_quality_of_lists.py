"""Tests what the fit may know and when, on shops so small or odd that it can learn little."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from serve_app.arrays.units import DAY_S
from serve_app.domain.batches import RequestBatch
from serve_app.domain.interactions import InteractionLog
from serve_app.fitting.data.items import build_catalogue
from serve_app.fitting.data.labels import LabelConfig
from serve_app.fitting.data.moments import moments_at
from serve_app.fitting.data.outcomes import find_outcomes
from serve_app.fitting.data.windows import select_before
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.moments.examples import make_blocks
from serve_app.fitting.moments.snapshot import SnapshotConfig, take_snapshot
from serve_app.fitting.pipeline import fit
from serve_app.fitting.training.boosting import VariantConfig
from serve_app.fitting.tuning.source_tuning import HALF_LIVES_DAYS, tune_sources
from serve_app.recommending.candidates.finding import CandidateFinder, CandidatesConfig
from tests.support.few_examples import FEW_EXAMPLES
from tests.support.hand_made_logs import demo_shop, items_of, log_of

pytestmark = pytest.mark.whole_fit

SMALL = FitConfig(variants={"main": VariantConfig(n_trees=5)}, **FEW_EXAMPLES)


def silent(step, share):
    pass


def world_at(items, log, at):
    catalogue = build_catalogue(items, log, 8)
    nobody = np.full(len(log.user_ids), np.nan)
    return take_snapshot(
        catalogue, log, at, catalogue.listed, nobody, SnapshotConfig(embedding_dim=8)
    )


def outcomes_after(log, at, listed):
    """Of all users, from one moment on."""
    moments = moments_at(log, np.arange(len(log.user_ids)), at)
    return find_outcomes(log, moments, float(log.at.max()), listed)


def shuffled_after(log, at, seed):
    """The same past; what came later with other items, twice."""
    late = np.flatnonzero(log.at >= at)
    rows = np.random.default_rng(seed).permutation(log.rows[late])
    parts = [np.r_[getattr(log, name), getattr(log, name)[late]] for name in _PARTS]
    users, all_rows, types, values, times = parts
    all_rows[late] = rows
    order = np.lexsort((times, users))
    return InteractionLog(
        log.user_ids, *(each[order] for each in (users, all_rows, types, values, times))
    )


_PARTS = ("users", "rows", "types", "values", "at")


def test_later_interactions_leave_every_feature_unchanged():
    items, _, log = demo_shop()
    at = float(np.quantile(log.at, 0.8))
    found = outcomes_after(log, at, np.ones(len(items), bool)).take(np.arange(40))

    matrices = []
    for each in (log, shuffled_after(log, at, seed=3)):
        world = world_at(items, select_before(each, at), at)
        moments = moments_at(each, found.users, at)
        [block] = make_blocks(world, each, replace(found, moments=moments), CandidatesConfig())
        matrices.append(block.examples.matrix)

    np.testing.assert_array_equal(*matrices)


def test_one_event_counts_in_every_source_that_knows_the_item():
    items, _, log = demo_shop()
    world = world_at(items, log, float(log.at.max()))
    batch = RequestBatch.unfiltered(("nobody",), 10, world.at)
    known = log.user_ids[int(np.argmax(np.bincount(log.users)))]
    one = world.fitted.archive.read((known,), stale=False)
    one = replace(one, events=one.events[:1], offsets=np.array([0, 1]))

    found = CandidateFinder.of(world.fitted, CandidatesConfig()).find(batch, one)

    assert len(found.rows) >= 100
    assert np.isfinite(found.features[:, :3]).any(axis=0).all()


def test_half_lives_are_chosen_from_the_outcomes():
    # Of what everybody buys, what is bought lately is what is bought next.
    past = [(f"u{i}", row, "purchase", 90 - 30 * (row < 9)) for i in range(30) for row in range(8)]
    late = [(f"v{i}", 9 + i % 3, "purchase", 99) for i in range(9)]
    then = [(f"u{i}", 9 + i % 3, "purchase", 101) for i in range(30)]
    log = log_of(*past, *late, *then)
    world = world_at(items_of(12), select_before(log, 100 * DAY_S), 100 * DAY_S)
    found = outcomes_after(log, world.at, world.fitted.catalogue.listed)

    settings = tune_sources(
        world,
        log,
        found,
        SnapshotConfig(),
        CandidatesConfig(),
        100,
        seed=1,
    )

    assert settings.popularity.half_life_days == HALF_LIVES_DAYS[0]


def odd_shop(name):
    """400 users: who only rate, who come once without a name and look, or who bought one thing."""
    rng = np.random.default_rng(0)
    n_items = 200 if name == "ratings" else 40
    kind = {"ratings": "rating", "anonymous": "view", "once": "purchase"}[name]
    lines = []
    for user in range(400):
        day = rng.uniform(0, 100)
        for step in range(1 if name == "once" else 6):
            row = int(rng.integers(n_items) * rng.random())
            at = day + step / 100 if name == "anonymous" else rng.uniform(0, 100)
            lines.append(
                (f"u{user}", row, kind, at, rng.integers(3, 6) if name == "ratings" else 1)
            )
    return items_of(n_items, price=[np.nan] * n_items, title=[""] * n_items), log_of(*lines)


@cache
def fitted_shop(name):
    """The log of an odd shop, and what a fit of it publishes."""
    items, log = odd_shop(name)
    return log, fit(items, demo_shop()[1].iloc[:0], log, SMALL, silent).contents


@pytest.mark.parametrize("name", ["ratings", "anonymous", "once"])
def test_fits_where_there_are_no_prices_titles_or_repeated_visits(name):
    log, contents = fitted_shop(name)

    assert set(contents.models) == {"main"}
    assert np.isfinite(contents.metrics["fused"]["ndcg_at_10"])
    ids = (*log.user_ids[:50], "nobody")
    for lists in lists_of(contents, ids, n=10):
        assert len(set(lists)) == len(lists) == 10


@pytest.mark.parametrize("name", ["ratings", "anonymous", "once"])
def test_never_offers_what_a_user_did_already_what_counts_with(name):
    log, contents = fitted_shop(name)

    for user, rows in enumerate(lists_of(contents, log.user_ids[:50], n=10)):
        assert not np.isin(rows, log.rows[log.users == user]).any()


def test_offers_again_what_was_bought_where_repeats_count():
    items, log = odd_shop("once")
    again = replace(log, rows=log.rows % 4)
    label = LabelConfig(repeats=True)
    twice = InteractionLog(
        again.user_ids,
        *(np.repeat(getattr(again, name), 3) for name in _PARTS[:4]),
        np.repeat(again.at, 3) + np.tile([0, 30 * DAY_S, 60 * DAY_S], len(again)),
    )
    contents = fit(
        items, demo_shop()[1].iloc[:0], twice, SMALL.model_copy(update={"label": label}), silent
    ).contents

    offered = lists_of(contents, twice.user_ids[:50], n=10)
    assert all(
        np.isin(again.rows[again.users == user], rows).all() for user, rows in enumerate(offered)
    )


def lists_of(contents, user_ids, n):
    """Rows of the best candidates, by their fused scores."""
    batch = RequestBatch.unfiltered(tuple(user_ids), n, contents.until_at)
    histories = contents.fitted.archive.read(batch.user_ids, stale=False)
    found = CandidateFinder.of(contents.fitted, CandidatesConfig()).find(batch, histories)
    return [found.rows[start : start + n].tolist() for start in found.offsets[:-1]]


def test_keeps_the_settings_where_nobody_came_back():
    items, log = odd_shop("anonymous")
    at = float(np.quantile(log.at, 0.5))
    world = world_at(items, select_before(log, at), at)
    late = np.unique(log.users[log.at < at])
    found = outcomes_after(log, at, world.fitted.catalogue.listed)
    settings = tune_sources(
        world,
        log,
        found.take(np.flatnonzero(~np.isin(found.users, late))),
        SnapshotConfig(),
        CandidatesConfig(),
        100,
        seed=1,
    )

    assert settings == SnapshotConfig()
