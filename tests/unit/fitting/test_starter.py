from dataclasses import replace

import numpy as np
import pytest

from serve_app.bundles.bundle import open_bundle
from serve_app.bundles.manifest import unusable_variants
from serve_app.bundles.models.loading import load_model
from serve_app.domain.batches import RequestBatch, ScoringBatch
from serve_app.domain.catalogue import STANDARD_COLUMNS
from serve_app.domain.filters.parsing import parse_filter
from serve_app.domain.interactions import NO_EVENTS, TYPE_CODES, Histories, make_events
from serve_app.domain.item_changes import Changes, ItemChange
from serve_app.fitting.fit_source import FitSource
from serve_app.fitting.starter import publish_starter
from serve_app.live.live_finder import LiveFinder
from serve_app.live.overlay import Live, apply
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.recommending.ranking.ordering import RankingConfig, rank, ranking_batch
from serve_app.recommending.scoring.model_features import USER_FEATURES

NOW = 1_800_000_000.0
VARIANTS = ("main", "challenger")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    version = publish_starter(str(root), "a-shop", VARIANTS, NOW, n_rows=40).version
    return open_bundle(str(root), version, cache_dir=root)


def lists_of(bundle, live, histories, wanted=None, n=4):
    """The lists of a shop that learnt nothing, from candidates to ranks."""
    size = len(histories)
    users = tuple(f"u{i}" for i in range(size))
    batch = RequestBatch(
        "", users, np.full(size, n, np.int32), (wanted,) * size, np.full(size, NOW)
    )
    found = LiveFinder(bundle.fitted, CandidatesConfig()).find(live, batch, histories)
    features = np.zeros((size, len(USER_FEATURES)), np.float32)
    scores = load_model(bundle, "main").score(ScoringBatch.of(found, features, batch.at))
    ranking = ranking_batch(found, batch.sizes, scores)
    ranked = rank(ranking, bundle.fitted.catalogue, RankingConfig())
    return [ranked.rows[ranked.offsets[i] : ranked.offsets[i + 1]].tolist() for i in range(size)]


def mug(row, **more):
    item = ItemChange(row + 1, row, f"m{row}", f"mug {row}", "mugs", 2.0, created_at=NOW - 86_400.0)
    return replace(item, **more)


def filled(bundle, *items):
    live = Live.of(bundle.fitted, bundle.manifest.revision)
    return apply(live, Changes(items[-1].revision, items))


def test_can_be_served_by_every_variant(bundle):
    assert unusable_variants(bundle.manifest, VARIANTS) == []
    assert (bundle.manifest.order, bundle.manifest.n_items) == ("popularity", 0)
    assert bundle.manifest.shop_id == "a-shop"


def test_an_empty_shop_recommends_nothing(bundle):
    live = Live.of(bundle.fitted, 0)

    assert lists_of(bundle, live, Histories.of([NO_EVENTS])) == [[]]


def test_items_are_recommended_as_soon_as_they_come(bundle):
    live = filled(bundle, *(mug(row) for row in range(3)), mug(3, in_stock=False))

    [shown] = lists_of(bundle, live, Histories.of([NO_EVENTS]))

    assert sorted(shown) == [0, 1, 2]


def test_a_click_brings_the_category_and_a_purchase_ends_the_item(bundle):
    items = [mug(row, category="mugs" if row < 5 else "lamps") for row in range(10)]
    live = filled(bundle, *items)
    clicked = make_events([7], [TYPE_CODES["click"]], [NOW - 60])
    bought = make_events([7], [TYPE_CODES["purchase"]], [NOW - 60])

    after_click, after_purchase = lists_of(bundle, live, Histories.of([clicked, bought]), n=9)

    assert after_click[0] >= 5
    assert sum(row >= 5 for row in after_click[:3]) >= 2
    assert 7 not in after_purchase


def test_filters_know_the_items(bundle):
    live = filled(bundle, mug(0), mug(1, price=20.0), mug(2))
    cheap = parse_filter({"price": {"lte": 5}, "category": "mugs"}, STANDARD_COLUMNS)

    [shown] = lists_of(bundle, live, Histories.of([NO_EVENTS]), cheap)

    assert sorted(shown) == [0, 2]


def test_a_first_fit_is_not_compared_with_it(tmp_path):
    publish_starter(str(tmp_path), "", VARIANTS, NOW, n_rows=40)

    assert FitSource(None, str(tmp_path), tmp_path).load_served() is None
