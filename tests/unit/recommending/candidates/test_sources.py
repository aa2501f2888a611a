"""Each source on a shop small enough to compute by hand."""

from dataclasses import replace

import numpy as np
import pytest

from serve_app.arrays.columns import (
    FlagColumn,
    IdIndex,
    NumberColumn,
    TagsColumn,
    TextColumn,
    Texts,
)
from serve_app.arrays.ragged import offsets_of
from serve_app.arrays.units import DAY_S
from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.filters.allowed import Allowed
from serve_app.domain.interactions import NO_EVENTS, PURCHASE, Histories, make_events
from serve_app.recommending.candidates.profiles import Profiles
from serve_app.recommending.candidates.sources.autoencoder import AutoencoderConfig, autoencoder
from serve_app.recommending.candidates.sources.favorite_categories import (
    FavoriteCategoriesConfig,
    favorite_categories,
)
from serve_app.recommending.candidates.sources.new_items import NewItemsConfig, new_items
from serve_app.recommending.candidates.sources.next_items import NextItemsConfig, next_items
from serve_app.recommending.candidates.sources.popular import PopularConfig, popular
from serve_app.recommending.candidates.sources.query import Queries
from serve_app.recommending.candidates.sources.recent_items import RecentItemsConfig, recent_items
from serve_app.recommending.candidates.sources.similar_sessions import (
    SimilarSessionsConfig,
    similar_sessions,
)
from serve_app.recommending.candidates.sources.similar_users import (
    SimilarUsersConfig,
    similar_users,
)
from serve_app.recommending.scoring.model_features import ITEM_FEATURES, SOURCES, TREND_DAYS

AT = 1_000 * DAY_S
N = 8
IDS = [f"i{row}" for row in range(N)]
# Row:        0    1    2    3    4    5    6    7
CATEGORIES = ["a", "a", "a", "b", "b", "c", "c", None]
AGES_DAYS = [90, 60, 1, 10, 20, 2, 45, 46]
POPULARITY = [8, 7, 6, 5, 4, 3, 2, 1]


def numbers(values):
    return NumberColumn(np.array(values, np.float64))


CATALOGUE = Catalogue(
    version="v",
    item_ids=Texts.of(IDS),
    titles=Texts.of(IDS),
    index=IdIndex.of(IDS),
    listed=np.ones(N, bool),
    columns={
        "category": TextColumn.of(CATEGORIES),
        "price": numbers([1] * N),
        "tags": TagsColumn.of([[]] * N),
        "in_stock": FlagColumn.of([True] * N),
        "created_at": numbers([AT - days * DAY_S for days in AGES_DAYS]),
        "avg_rating": numbers([np.nan] * N),
        "num_ratings": numbers([0] * N),
        "popularity": numbers(POPULARITY),
    },
    vectors=np.zeros((N, 2), np.float32),
    features=np.zeros((N, len(ITEM_FEATURES)), np.float32),
)


def ragged(dtype, *lists):
    flat = [value for each in lists for value in each]
    return offsets_of([len(each) for each in lists]), np.array(flat, dtype)


NEIGHBOURS = ragged(np.int32, [1, 2], [0, 3], [0], [1], [], [6], [5], [])
COSINES = np.array([0.9, 0.4, 0.9, 0.5, 0.4, 0.5, 0.8, 0.8], np.float32)
# Four users; who bought what, and the same by item.
BASKETS = ragged(np.int32, [0, 1], [0, 2, 3, 4], [5], [0])
BUYERS = ragged(np.int32, [0, 1, 3], [0], [1], [1], [1], [2], [], [])
LINEAR = ragged(np.int32, [1, 2], [2], [], [2], [], [], [], [])
# Row 0 led to row 1 twice and to row 2 once. Three sessions, and the same by item, latest first.
AFTER = ragged(np.int32, [1, 2], [2], [], [], [], [], [], [])
SESSIONS = ragged(np.int32, [0, 1], [0, 1, 2], [3, 4])
VISITS = ragged(np.int32, [1, 0], [1, 0], [1], [2], [2], [], [], [])
TABLES = CandidateTables(
    until_at=np.array([AT]),
    source_weights=np.ones(len(SOURCES), np.float32),
    popular_rows=np.arange(N, dtype=np.int32),
    category_offsets=np.array([0, 3, 5, 7]),
    category_rows=np.arange(7, dtype=np.int32),
    newest_rows=np.argsort(AGES_DAYS, kind="stable").astype(np.int32),
    neighbour_offsets=NEIGHBOURS[0],
    neighbour_rows=NEIGHBOURS[1],
    neighbour_scores=COSINES,
    buyer_offsets=BUYERS[0],
    buyers=BUYERS[1],
    basket_offsets=BASKETS[0],
    basket_rows=BASKETS[1],
    basket_weights=np.array([1, 1, 1, 0.5, 1, 1, 1, 1], np.float32),
    transition_offsets=AFTER[0],
    transition_rows=AFTER[1],
    transition_weights=np.tile(np.array([[0.5], [0.25], [1.0]], np.float32), 3),
    step_in=np.zeros((N, 2), np.float32),
    step_out=np.zeros((N, 2), np.float32),
    session_items=np.empty(0, np.int32),
    context_vectors=np.empty((0, 3, 2), np.float32),
    next_vectors=np.empty((0, 2), np.float32),
    next_biases=np.empty(0, np.float32),
    pair_keys=np.empty(0, np.int64),
    pair_offsets=np.zeros(1, np.int64),
    pair_rows=np.empty(0, np.int32),
    pair_weights=np.empty(0, np.float32),
    pair_rests=np.empty(0, np.float32),
    session_offsets=SESSIONS[0],
    session_rows=SESSIONS[1],
    visit_offsets=VISITS[0],
    visits=VISITS[1],
    linear_offsets=LINEAR[0],
    linear_rows=LINEAR[1],
    linear_weights=np.array([0.5, -0.2, 0.4, 0.3], np.float32),
    trends=np.array([1, 1, 0.5, 1, 1, 1, 1, 1], np.float32),
    recent_trends=np.ones((N, len(TREND_DAYS)), np.float32),
    factors_in=np.zeros((N, 2), np.float32),
    factors_out=np.zeros((N, 2), np.float32),
    content_vectors=np.zeros((N, 2), np.float32),
    word_index=IdIndex.of([]),
    word_vectors=np.zeros((0, 2), np.float32),
    ending_types=np.array([False, False, False, True, False]),
    period_starts_at=np.zeros(1),
    period_counts=np.zeros((N, 1), np.float32),
    period_totals=np.zeros(1, np.float32),
    period_users=np.zeros(1, np.float32),
)


NO_TASTES = np.empty(0, np.float32)
"""The sources do not read the other columns of a profile."""


def query(*, liked=(), hidden=(), shares=(0, 0, 0), size=3):
    """A request by one who likes rows (row, weight), newest last."""
    mask = np.ones(N, bool)
    mask[list(hidden)] = False
    rows, weights = zip(*liked, strict=True) if liked else ((), ())
    events = make_events(rows, [PURCHASE] * len(rows), [AT] * len(rows)) if rows else NO_EVENTS
    return Queries(
        catalogue=CATALOGUE,
        tables=TABLES,
        allowed=Allowed.of((mask,), np.zeros(1, int), np.empty(0, np.int64)),
        histories=Histories.of([events]),
        profiles=Profiles(
            np.array(weights, np.float32), np.array([shares], np.float32), *(NO_TASTES,) * 4
        ),
        sizes=np.array([size]),
        at=np.array([AT]),
    )


def scored(hits):
    return dict(zip(hits.rows.tolist(), hits.scores.tolist(), strict=True))


class TestPopular:
    def test_gives_the_most_popular_first(self):
        hits = popular(query(), PopularConfig(limit=4))

        assert list(scored(hits).items()) == [(0, 8), (1, 7), (2, 6), (3, 5)]

    def test_gives_as_many_as_are_wanted_whatever_the_limit(self):
        assert len(popular(query(size=6), PopularConfig(limit=1)).rows) == 6

    def test_leaves_out_what_is_not_allowed_before_it_counts(self):
        assert popular(query(hidden=[0, 2]), PopularConfig(limit=3)).rows.tolist() == [1, 3, 4]


class TestNextItems:
    def test_gives_what_followed_and_the_last_item_says_the_most(self):
        hits = next_items(query(liked=[(0, 1), (1, 1)]), NextItemsConfig(fading=0.5))

        assert scored(hits) == pytest.approx({2: 1.0 + 0.5 * 0.25, 1: 0.5 * 0.5})

    def test_reads_no_more_events_than_it_may(self):
        hits = next_items(query(liked=[(0, 1), (1, 1)]), NextItemsConfig(n_seeds=1))

        assert scored(hits) == {2: 1.0}

    def test_a_visitor_without_events_gets_nothing(self):
        assert len(next_items(query(), NextItemsConfig()).rows) == 0


class TestSimilarSessions:
    def test_gives_the_items_of_sessions_with_shared_items(self):
        hits = similar_sessions(query(liked=[(0, 1), (2, 1)]), SimilarSessionsConfig(fading=0.5))

        # Session 0 shares the first item, session 1 both: .5 and 1.5, a quarter and three.
        assert scored(hits) == pytest.approx({0: 1.0, 1: 1.0, 2: 0.75})

    def test_reads_only_the_most_similar_sessions(self):
        asked = query(liked=[(0, 1), (2, 1)])

        hits = similar_sessions(asked, SimilarSessionsConfig(n_neighbours=1))

        assert scored(hits) == {0: 1.0, 1: 1.0, 2: 1.0}

    def test_a_visitor_without_events_gets_nothing(self):
        assert len(similar_sessions(query(), SimilarSessionsConfig()).rows) == 0


class TestAutoencoder:
    def test_adds_up_weights_of_both_signs_and_scales_by_the_trend(self):
        hits = autoencoder(query(liked=[(0, 0.1), (1, 1.0)]), AutoencoderConfig())

        # Row 1: 0.5. Row 2: (0.4 - 0.2) x 0.5. How long ago it was does not matter here.
        assert scored(hits) == pytest.approx({1: 0.5, 2: 0.1})
        assert hits.rows.tolist() == [1, 2]

    def test_leaves_out_what_all_items_speak_against(self):
        assert scored(autoencoder(query(liked=[(0, 1.0)]), AutoencoderConfig())) == {1: 0.5}

    def test_uses_the_latest_items_only(self):
        liked = [(0, 1.0), (3, 1.0)]

        hits = autoencoder(query(liked=liked), AutoencoderConfig(n_seeds=1))

        assert scored(hits) == pytest.approx({2: 0.15})

    def test_knows_scores_of_what_it_may_not_offer(self):
        hits = autoencoder(query(liked=[(0, 1.0)], hidden=[1]), AutoencoderConfig())

        assert hits.rows.tolist() == []
        assert hits.known_keys.tolist() == [1]

    def test_offers_nothing_without_history(self):
        assert autoencoder(query(), AutoencoderConfig()).rows.tolist() == []


class TestRecentItems:
    def test_gives_neighbours_by_cosine_times_strength(self):
        hits = recent_items(query(liked=[(0, 1.0), (3, 0.5)]), RecentItemsConfig())

        # Row 1 is a neighbour of both: 0.9 x 1 + 0.5 x 0.5.
        assert scored(hits) == pytest.approx({1: 1.15, 2: 0.4})
        assert hits.rows.tolist() == [1, 2]

    def test_names_the_item_that_led_there_most(self):
        hits = recent_items(query(liked=[(3, 0.5), (0, 1.0)]), RecentItemsConfig())

        assert dict(zip(hits.rows.tolist(), hits.because.tolist(), strict=True)) == {1: 0, 2: 0}

    def test_asks_the_strongest_only(self):
        liked = [(0, 0.1), (5, 1.0)]

        assert recent_items(query(liked=liked), RecentItemsConfig(n_seeds=1)).rows.tolist() == [6]

    def test_strengths_of_one_item_add_up(self):
        hits = recent_items(query(liked=[(5, 0.25), (5, 0.25)]), RecentItemsConfig())

        assert scored(hits) == pytest.approx({6: 0.4})

    def test_leaves_out_what_is_not_allowed(self):
        hits = recent_items(query(liked=[(0, 1.0)], hidden=[1]), RecentItemsConfig(limit=1))

        assert hits.rows.tolist() == [2]

    @pytest.mark.parametrize("liked", [[], [(7, 1.0)]], ids=["nothing done", "no neighbours"])
    def test_gives_nothing_out_of_nothing(self, liked):
        assert len(recent_items(query(liked=liked), RecentItemsConfig()).rows) == 0


class TestSimilarUsers:
    def test_gives_the_share_of_the_neighbours_who_bought_it_by_cosine_and_age(self):
        hits = similar_users(query(liked=[(0, 1.0)]), SimilarUsersConfig())

        # Row 0 has three buyers; their baskets hold 2, 4 and 1 items. The second bought row 2
        # a half-life ago.
        cosines = np.array([1 / np.sqrt(2), 1 / 2, 1])
        first, second, _ = cosines / cosines.sum()
        assert scored(hits) == pytest.approx(
            {0: 1.0, 1: first, 2: second / 2, 3: second, 4: second}
        )
        assert hits.rows.tolist() == [0, 1, 3, 4, 2]

    def test_asks_the_nearest_only(self):
        hits = similar_users(query(liked=[(0, 1.0)]), SimilarUsersConfig(n_neighbours=2))

        assert hits.rows.tolist() == [0, 1]

    def test_uses_the_strongest_items_only(self):
        config = SimilarUsersConfig(n_seeds=1)

        assert similar_users(query(liked=[(0, 0.5), (5, 1.0)]), config).rows.tolist() == [5]

    def test_leaves_out_what_is_not_allowed(self):
        config = SimilarUsersConfig(limit=2)

        assert similar_users(query(liked=[(0, 1.0)], hidden=[0]), config).rows.tolist() == [1, 3]

    @pytest.mark.parametrize("liked", [[], [(7, 1.0)]], ids=["nothing done", "no buyers"])
    def test_gives_nothing_out_of_nothing(self, liked):
        assert len(similar_users(query(liked=liked), SimilarUsersConfig()).rows) == 0


class TestFavoriteCategories:
    def test_shares_decide_between_the_categories(self):
        hits = favorite_categories(query(shares=(0.2, 0, 0.8)), FavoriteCategoriesConfig())

        assert scored(hits) == pytest.approx({5: 0.8, 6: 0.4, 0: 0.2, 1: 0.1, 2: 0.2 / 3})
        assert hits.rows.tolist() == [5, 6, 0, 1, 2]

    def test_asks_the_most_liked_only(self):
        config = FavoriteCategoriesConfig(n_categories=1)

        assert favorite_categories(query(shares=(0.2, 0.3, 0.5)), config).rows.tolist() == [5, 6]

    def test_gives_each_category_its_part_of_the_limit(self):
        config = FavoriteCategoriesConfig(limit=2)

        assert favorite_categories(query(shares=(0.6, 0.4, 0)), config).rows.tolist() == [0, 3]

    def test_leaves_out_what_is_not_allowed_before_it_counts(self):
        config = FavoriteCategoriesConfig(limit=1)
        asked = query(shares=(1, 0, 0), hidden=[0])

        assert favorite_categories(asked, config).rows.tolist() == [1]

    def test_gives_nothing_to_one_who_has_no_favourites(self):
        assert len(favorite_categories(query(), FavoriteCategoriesConfig()).rows) == 0


class TestNewItems:
    def test_gives_what_is_new_the_freshest_first(self):
        hits = new_items(query(), NewItemsConfig())

        assert hits.rows.tolist() == [2, 5, 3, 4, 6]
        assert scored(hits)[6] == pytest.approx(0.01 * 0.5)

    def test_favourite_categories_come_first(self):
        hits = new_items(query(shares=(0, 1, 0)), NewItemsConfig())

        assert hits.rows.tolist() == [3, 4, 2, 5, 6]
        assert scored(hits)[3] == pytest.approx(1.01 * (1 - 10 / 90))

    def test_an_item_without_category_is_nobodys_favourite(self):
        hits = new_items(query(shares=(0, 0, 1)), NewItemsConfig(max_age_days=100))

        assert scored(hits)[7] == pytest.approx(0.01 * (1 - 46 / 200))

    def test_leaves_out_what_is_not_allowed_before_it_counts(self):
        asked = query(hidden=[2, 5])

        assert new_items(asked, NewItemsConfig(limit=1, pool=1)).rows.tolist() == [3]

    def test_compares_no_more_than_its_pool(self):
        asked = query(shares=(0, 1, 0))

        assert new_items(asked, NewItemsConfig(pool=2)).rows.tolist() == [2, 5]

    def test_an_item_that_is_dated_ahead_is_not_new_before_its_day(self):
        asked = query()
        day = AT - AGES_DAYS[2] * DAY_S

        before = new_items(replace(asked, at=np.array([day - 1])), NewItemsConfig())
        on_the_day = new_items(replace(asked, at=np.array([day])), NewItemsConfig())

        assert 2 not in before.rows
        assert on_the_day.rows[0] == 2

    def test_each_request_sees_the_items_of_its_own_moment(self):
        day = AT - AGES_DAYS[2] * DAY_S
        one = query()
        both = replace(
            one,
            allowed=Allowed.of(one.allowed.masks, np.zeros(2, int), np.empty(0, np.int64)),
            profiles=replace(one.profiles, category_shares=np.zeros((2, 3), np.float32)),
            sizes=np.full(2, 3),
            at=np.array([day - 1, day]),
        )

        hits = new_items(both, NewItemsConfig())

        first, second = np.split(hits.rows, hits.offsets[1:-1])
        assert 2 not in first
        assert second[0] == 2

    def test_items_that_are_dated_ahead_take_no_place_of_new_ones(self):
        asked = replace(query(), at=np.array([AT - 5 * DAY_S]))

        assert new_items(asked, NewItemsConfig(pool=1)).rows.tolist() == [3]

    def test_reads_few_rows_to_find_the_new_ones(self):
        n, looked_at = 100_000, []

        class Watched(np.ndarray):
            def __getitem__(self, key):
                looked_at.append(key)
                return np.asarray(self)[key]

        order = np.arange(n, dtype=np.int32)
        ahead = np.where(order < n // 2, AT + 9e9, AT - order.astype(float))
        columns = {**CATALOGUE.columns, "created_at": NumberColumn(ahead.view(Watched))}
        asked = query()
        large = replace(
            asked,
            catalogue=replace(
                CATALOGUE,
                listed=np.ones(n, bool),
                columns={
                    **columns,
                    "in_stock": FlagColumn(np.ones(n, np.int8)),
                    "category": replace(CATALOGUE.categories, codes=np.full(n, -1, np.int32)),
                },
            ),
            tables=replace(TABLES, newest_rows=order),
            allowed=Allowed.of((np.ones(n, bool),), np.zeros(1, int), np.empty(0, np.int64)),
        )

        hits = new_items(large, NewItemsConfig(pool=3))

        assert hits.rows.tolist() == [n // 2, n // 2 + 1, n // 2 + 2]
        assert len(looked_at) < 50

    def test_gives_nothing_when_nothing_is_new(self):
        assert (
            len(new_items(replace(query(), at=np.array([AT + 99 * DAY_S])), NewItemsConfig()).rows)
            == 0
        )
