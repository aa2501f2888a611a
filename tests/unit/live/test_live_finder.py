from dataclasses import replace

import numpy as np
import pytest

from serve_app.arrays.columns import NumberColumn
from serve_app.domain.batches import CandidateBatch, RequestBatch, ScoringBatch
from serve_app.domain.catalogue import STANDARD_COLUMNS
from serve_app.domain.filters.parsing import parse_filter
from serve_app.domain.fitted import Fitted
from serve_app.domain.interactions import NO_EVENTS, Histories
from serve_app.domain.item_changes import Changes, ItemChange
from serve_app.live.live_finder import LiveFinder
from serve_app.live.overlay import Live, apply
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.recommending.ranking.ordering import RankingConfig, fused_scores, rank, ranking_batch
from serve_app.recommending.scoring.model_features import FEATURES, USER_FEATURES, assemble
from tests.support.changing_shop import AT, KINDS, first_fitted, first_items

HATS = parse_filter({"category": "hats"}, STANDARD_COLUMNS)
PRICIER = replace(first_items()[2], revision=5, price=7.5, category="hats")
NEW = ItemChange(6, 8, "i8", "red thing", "hats", 3.0, created_at=AT - 1000.0)


def revisions() -> list[Live]:
    """The arrays of the fit, then with a change, then with a new item."""
    lives = [Live.of(first_fitted(), 0)]
    for item in (PRICIER, NEW):
        lives.append(apply(lives[-1], Changes(item.revision, [item], kinds=KINDS)))
    return lives


def found(finder: LiveFinder, live: Live, wanted=None) -> CandidateBatch:
    batch = RequestBatch("", ("ann",), np.full(1, 5, np.int32), (wanted,), np.array([AT]))
    return finder.find(live, batch, Histories.of([NO_EVENTS]))


def test_answers_each_revision_as_if_it_were_the_only_one():
    finder, lives = LiveFinder(first_fitted(), CandidatesConfig()), revisions()

    hats = [found(finder, lives[i], HATS).rows.tolist() for i in (0, 1, 2, 1, 0, 2)]

    assert [sorted(rows) for rows in hats] == [[], [2], [2, 8], [2], [], [2, 8]]


def test_an_unchanged_bundle_carries_no_patch():
    batch = found(LiveFinder(first_fitted(), CandidatesConfig()), revisions()[0])

    assert (batch.revision, batch.patch, batch.names) == (0, None, None)


def live_world() -> tuple[CandidateBatch, Fitted, Fitted]:
    """Candidates at the last revision, the arrays of the fit, and those of the revision."""
    live = revisions()[-1]
    batch = found(LiveFinder(first_fitted(), CandidatesConfig()), live)
    assert {2, 8} <= {*batch.rows.tolist()}
    return batch, live.base, live.fitted


def test_a_scorer_computes_with_the_values_of_the_revision():
    batch, base, live = live_world()
    users = np.linspace(0.1, 2, len(USER_FEATURES), dtype=np.float32)[None]
    scoring = ScoringBatch.of(batch, users, np.full(len(batch), AT))

    matrix = dict(zip(FEATURES, assemble(FEATURES, base.catalogue, scoring).T, strict=True))

    plain = assemble(FEATURES, live.catalogue, replace(scoring, patch=None))
    expected = dict(zip(FEATURES, plain.T, strict=True))
    expected["item.log_price"] = np.log1p(live.catalogue.number("price")[batch.rows])
    changed = np.isin(batch.rows, [2, 8])
    for name in ("item.price_level", "item.category_popularity"):
        assert not np.isnan(matrix[name][changed]).any()
        np.testing.assert_array_equal(matrix[name][~changed], expected.pop(name)[~changed])
    for name, column in expected.items():
        np.testing.assert_allclose(matrix[name], column, rtol=1e-6, err_msg=name)


def test_a_part_of_a_batch_keeps_the_patch():
    batch, _, _ = live_world()
    scoring = ScoringBatch.of(batch, np.zeros((1, len(USER_FEATURES)), np.float32), np.array([AT]))

    assert scoring.part(np.array([0]))[0].patch is batch.patch


def test_a_ranker_orders_by_the_categories_of_the_revision():
    batch, base, live = live_world()
    ranking = ranking_batch(batch, np.full(1, 5, np.int32), fused_scores(batch))

    ranked = rank(ranking, base.catalogue, RankingConfig())

    expected = rank(replace(ranking, patch=None), live.catalogue, RankingConfig())
    for name in ("rows", "scores", "reasons", "subjects"):
        np.testing.assert_array_equal(getattr(ranked, name), getattr(expected, name))


def test_the_arrays_of_the_bundle_stay_as_they_were():
    prices = first_fitted().catalogue.columns["price"]
    assert isinstance(prices, NumberColumn)
    before = prices.values.copy()

    live_world()

    assert prices.values == pytest.approx(before, nan_ok=True)
