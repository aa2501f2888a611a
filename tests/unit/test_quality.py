"""What the fit may know and when, on shops so small or odd that little is left to learn from."""

from dataclasses import replace

import numpy as np
import pytest

from serve_app.domain.allowed import AllowedItems
from serve_app.domain.batches import RequestBatch
from serve_app.domain.candidates import CandidatesConfig, find_candidates
from serve_app.offline.examples import blocks
from serve_app.offline.fit import fit
from serve_app.offline.fitting.settings import FitConfig
from serve_app.offline.items import catalogue_of
from serve_app.offline.snapshot import SnapshotConfig, snapshot
from serve_app.offline.train import VariantConfig
from serve_app.offline.tuning import HALF_LIVES_DAYS, tuned
from serve_app.offline.windows import before, outcomes
from serve_app.stores.warehouse import InteractionLog
from tests.fitting import DAY_S, demo_shop, items_of, log_of

SMALL = FitConfig(variants={"main": VariantConfig(n_trees=5)}, n_tuning_users=30)


def silent(step, share):
    pass


def world_at(items, log, at):
    catalogue = catalogue_of(items, log, 8)
    nobody = np.full(len(log.user_ids), np.nan)
    return snapshot(catalogue, log, at, catalogue.listed, nobody, SnapshotConfig(embedding_dim=8))


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
    found = outcomes(log, at, float(log.at.max()), np.ones(len(items), bool))
    found = replace(found, users=found.users[:40], offsets=found.offsets[:41])

    matrices = []
    for each in (log, shuffled_after(log, at, seed=3)):
        world = world_at(items, before(each, at), at)
        [block] = blocks(world, found, CandidatesConfig())
        matrices.append(block.examples.matrix)

    np.testing.assert_array_equal(*matrices)


def test_one_event_counts_in_every_source_that_knows_the_item():
    items, _, log = demo_shop()
    world = world_at(items, log, float(log.at.max()))
    allowed = AllowedItems(world.catalogue)
    batch = RequestBatch("", ("nobody",), np.array([10], np.int32), (None,), world.at)
    known = log.user_ids[int(np.argmax(np.bincount(log.users)))]
    one = world.archive.read((known,), stale=False)
    one = replace(one, events=one.events[:1], offsets=np.array([0, 1]))

    found = find_candidates(
        batch, one, world.catalogue, world.tables, CandidatesConfig(), allowed=allowed
    )

    assert len(found.rows) >= 100
    assert np.isfinite(found.features[:, :3]).any(axis=0).all()


def test_half_lives_are_chosen_from_the_outcomes():
    # Of what everybody buys, what is bought lately is what is bought next.
    past = [(f"u{i}", row, "purchase", 90 - 30 * (row < 9)) for i in range(30) for row in range(8)]
    late = [(f"v{i}", 9 + i % 3, "purchase", 99) for i in range(9)]
    then = [(f"u{i}", 9 + i % 3, "purchase", 101) for i in range(30)]
    log = log_of(*past, *late, *then)
    world = world_at(items_of(12), before(log, 100 * DAY_S), 100 * DAY_S)
    found = outcomes(log, world.at, float(log.at.max()), world.catalogue.listed)

    settings = tuned(
        world, before(log, world.at), found, SnapshotConfig(), CandidatesConfig(), 100, seed=1
    )

    assert settings.popularity.half_life_days == HALF_LIVES_DAYS[0]


def odd_shop(name):
    rng = np.random.default_rng(0)
    n_items = 200 if name == "ratings" else 40
    kind = {"ratings": "rating", "anonymous": "click", "once": "purchase"}[name]
    n_users = 400
    lines = []
    for user in range(n_users):
        day = rng.uniform(0, 100)
        for step in range(1 if name == "once" else 6):
            row = int(rng.integers(n_items) * rng.random())
            at = day + step / 100 if name == "anonymous" else rng.uniform(0, 100)
            lines.append((f"u{user}", row, kind, at, 4.0 if kind == "rating" else np.nan))
            lines.append((f"u{user}", row, "purchase", at + 1e-3))
    return items_of(n_items, price=[np.nan] * n_items, title=[""] * n_items), log_of(*lines)


@pytest.mark.parametrize("name", ["ratings", "anonymous", "once"])
def test_fits_where_there_are_no_prices_titles_or_repeated_visits(name):
    items, log = odd_shop(name)
    users = demo_shop()[1].iloc[:0]

    fitted = fit(items, users, log, SMALL, silent)

    assert set(fitted.contents.models) == {"main"}
    assert np.isfinite(fitted.contents.metrics["fused"]["ndcg_at_10"])
