from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.arrays.columns import MISSING
from serve_app.arrays.ragged import offsets_of
from serve_app.domain.batches import CandidateBatch
from serve_app.recommending.ranking.diversity import DiversityConfig
from serve_app.recommending.ranking.ordering import (
    RankingConfig,
    fused_scores,
    rank,
    rank_plainly,
    ranking_batch,
)
from serve_app.recommending.ranking.reasons import REASON_CODES, REASONS
from serve_app.recommending.scoring.model_features import (
    CANDIDATE_FEATURES,
    DAYS_SINCE_LAST,
    FUSED_COLUMN,
    SOURCE_RANKS,
)
from tests.support.small_world import small_world

CATALOGUE = small_world().fitted.catalogue
CONFIG = RankingConfig()


def found_of(candidates):
    """Candidates as rows per request; what only ``popular`` offers."""
    rows = np.array([row for own in candidates for row in own], np.int32)
    features = np.full((len(rows), len(CANDIDATE_FEATURES)), np.nan, np.float32)
    features[:, SOURCE_RANKS.stop - 1] = 1
    features[:, FUSED_COLUMN] = np.arange(len(rows))
    return CandidateBatch(
        bundle="v",
        offsets=offsets_of([len(own) for own in candidates]),
        rows=rows,
        features=features,
        because=np.full(len(rows), MISSING, np.int32),
        because_type=np.zeros(len(rows), np.uint8),
        stale=np.zeros(len(candidates), bool),
    )


def batch_of(candidates, sizes, scores=None):
    """Scores descend with the position unless given."""
    if scores is None:
        scores = -np.concatenate([np.arange(len(own)) for own in candidates] or [np.empty(0)])
    return ranking_batch(
        found_of(candidates), np.array(sizes, np.int32), np.asarray(scores, np.float32)
    )


def lists(ranked):
    return [ranked.rows[start:end].tolist() for start, end in pairwise(ranked.offsets)]


def with_untried(*rows):
    """The catalogue after a fit that knows no interaction with these rows."""
    features = CATALOGUE.features.copy()
    features[:, DAYS_SINCE_LAST] = 1.0
    features[list(rows), DAYS_SINCE_LAST] = np.nan
    return replace(CATALOGUE, features=features)


class TestUntriedItems:
    """Scores descend with the row; diversity is off."""

    def order(self, n, sizes, untried, share=0.3):
        candidates = [range(n)] * len(sizes)
        config = RankingConfig(max_untried_share=share)
        return lists(rank_plainly(batch_of(candidates, sizes), with_untried(*untried), config))

    def test_take_at_most_their_share_of_each_list(self):
        assert self.order(20, [10, 4, 3], range(8)) == [
            [0, 1, 2, *range(8, 15)],
            [0, 8, 9, 10],
            [8, 9, 10],
        ]

    def test_fill_a_list_that_has_nothing_else(self):
        assert self.order(10, [10, 5], range(8)) == [list(range(10)), [0, 1, 2, 8, 9]]

    def test_may_take_all_places_where_that_is_allowed(self):
        assert self.order(20, [10], range(12), share=1.0) == [list(range(10))]

    def test_keep_their_places_below_their_share(self):
        assert self.order(20, [10], [5, 7]) == [list(range(10))]

    def test_are_not_called_popular(self):
        ranked = rank_plainly(batch_of([range(3)], [3]), with_untried(0, 2), CONFIG)

        names = [REASONS[code].name for code in ranked.reasons]
        assert dict(zip(ranked.rows.tolist(), names, strict=True)) == {
            0: "untried",
            1: "popular",
            2: "untried",
        }

    def test_come_before_items_without_a_score_only_within_their_share(self):
        scores = [1.0] * 4 + [np.nan] * 6
        batch = batch_of([range(10)], [10], scores)

        [found] = lists(rank_plainly(batch, with_untried(*range(4)), CONFIG))
        [shorter] = lists(
            rank_plainly(batch_of([range(10)], [6], scores), with_untried(*range(4)), CONFIG)
        )

        assert found == list(range(10))
        assert shorter == [0, 4, 5, 6, 7, 8]


ROWS = st.lists(st.integers(0, len(CATALOGUE) - 1), unique=True, max_size=150)
REQUESTS = st.lists(st.tuples(ROWS, st.integers(1, 100)), min_size=1, max_size=6)


@given(REQUESTS, st.randoms(), st.sampled_from([rank, rank_plainly]))
@settings(max_examples=60, deadline=None)
def test_every_request_gets_as_many_of_its_candidates_as_it_wants(requests, random, order):
    catalogue = with_untried(*random.sample(range(len(CATALOGUE)), 100))
    candidates, sizes = zip(*requests, strict=True)
    n = sum(map(len, candidates))
    scores = [random.choice([random.random(), float("nan"), -1.0]) for _ in range(n)]

    ranked = order(batch_of(candidates, sizes, scores), catalogue, CONFIG)

    for own, size, found in zip(candidates, sizes, lists(ranked), strict=True):
        assert len(found) == min(size, len(own))
        n_untried = int(np.isnan(catalogue.features[found, DAYS_SINCE_LAST]).sum())
        n_tried = int((~np.isnan(catalogue.features[list(own), DAYS_SINCE_LAST])).sum())
        assert n_untried <= max(0.3 * size, min(size, len(own)) - n_tried)
        assert len(set(found)) == len(found)
        assert set(found) <= set(own)
    assert len(ranked.scores) == len(ranked.reasons) == len(ranked.subjects) == len(ranked.rows)


@given(REQUESTS)
@settings(max_examples=30, deadline=None)
def test_a_request_gets_the_same_alone_as_in_company(requests):
    candidates, sizes = zip(*requests, strict=True)

    together = lists(rank(batch_of(candidates, sizes), CATALOGUE, CONFIG))

    for own, size, found in zip(candidates, sizes, together, strict=True):
        [alone] = lists(rank(batch_of([own], [size]), CATALOGUE, CONFIG))
        assert found == alone


def test_the_plain_order_is_that_of_the_scores_and_what_has_none_is_last():
    scores = [0.1, np.nan, 0.9, 0.5, -np.inf]

    ranked = rank_plainly(batch_of([[4, 5, 6, 7, 8]], [5], scores), CATALOGUE, CONFIG)

    assert lists(ranked)[0][:3] == [6, 7, 4]
    assert set(lists(ranked)[0][3:]) == {5, 8}
    assert ranked.scores[:3].tolist() == pytest.approx([0.9, 0.5, 0.1])


def test_no_category_fills_more_than_half_of_a_list_while_there_are_others():
    codes = CATALOGUE.categories.codes
    common = int(np.argmax(np.bincount(codes[codes >= 0])))
    alike = np.flatnonzero(codes == common)[:20].tolist()
    others = np.flatnonzero(codes != common)[:20].tolist()

    [found] = lists(rank(batch_of([alike + others], [10]), CATALOGUE, CONFIG))

    assert (codes[found] == common).sum() == 5


def test_a_list_is_picked_from_its_best_candidates_only():
    config = CONFIG.model_copy(update={"diversity": DiversityConfig(pool_size=5, mmr_lambda=0.0)})
    rows = list(range(50))

    [found] = lists(rank(batch_of([rows], [3]), CATALOGUE, config))

    assert set(found) <= set(rows[:5])


def test_what_only_the_popular_source_knows_is_called_popular_or_highly_rated():
    batch = batch_of([[1, 2, 3]], [3])
    number = dict(CATALOGUE.columns)
    for name, values in {"avg_rating": [4.9, 4.9, 3.0], "num_ratings": [5, 4, 50]}.items():
        changed = number[name].values.copy()
        changed[[1, 2, 3]] = values
        number[name] = replace(number[name], values=changed)

    ranked = rank_plainly(batch, replace(CATALOGUE, columns=number), CONFIG)

    assert lists(ranked) == [[1, 2, 3]]
    assert ranked.reasons.tolist() == [
        *(REASON_CODES["highly_rated"], REASON_CODES["popular"], REASON_CODES["popular"]),
    ]


def test_the_order_of_the_sources_stands_in_for_scores():
    assert fused_scores(found_of([[1, 2], [3]])).tolist() == [0, 1, 2]


def test_nobody_gets_anything_out_of_nothing():
    ranked = rank(batch_of([[], []], [5, 5]), CATALOGUE, CONFIG)

    assert lists(ranked) == [[], []]


@pytest.mark.parametrize(("max_rating", "high"), [(5.0, 4.3), (10.0, 8.6), (1.0, 0.86)])
def test_what_is_highly_rated_follows_the_scale(max_rating, high):
    assert RankingConfig().on_scale(max_rating).high_rating == pytest.approx(high)
    assert RankingConfig(high_rating=4.0).on_scale(max_rating).high_rating == 4
