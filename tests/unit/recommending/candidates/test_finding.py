import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.arrays.columns import MISSING
from serve_app.domain.filters.allowed_items import AllowedItems
from serve_app.domain.filters.parsing import parse_filter
from serve_app.domain.interactions import (
    NO_EVENTS,
    PURCHASE,
    TYPE_CODES,
    Histories,
    make_events,
)
from serve_app.recommending.candidates.finding import CandidateFinder, CandidatesConfig
from serve_app.recommending.scoring.model_features import CANDIDATE_FEATURES, SOURCE_RANKS, SOURCES
from tests.support.small_world import AT, batch_of, purchased, small_world

WORLD = small_world()
CATALOGUE = WORLD.fitted.catalogue
CONFIG = CandidatesConfig()
KNOWN = tuple(f"u{i:06d}" for i in range(80))


def find(histories, batch, config=CONFIG):
    return CandidateFinder.of(WORLD.fitted, config).find(batch, histories)


def history_of(user_ids):
    return WORLD.fitted.archive.read(user_ids, stale=False)


def an_active_user():
    lengths = np.diff(WORLD.fitted.archive.offsets)
    by_hash = {int(row): user for user in KNOWN for row in WORLD.fitted.archive.index.find([user])}
    return by_hash[int(np.argmax(lengths))]


def columns(found):
    return dict(zip(CANDIDATE_FEATURES, found.features.T, strict=True))


def filter_of(**raw):
    return parse_filter(raw, {name: type(column) for name, column in CATALOGUE.columns.items()})


def test_every_source_offers_something_to_an_active_user():
    user = an_active_user()

    found = find(history_of((user,)), batch_of((user,)))

    offered = np.isfinite(found.features[:, SOURCE_RANKS]).sum(axis=0)
    assert dict(zip(SOURCES, offered > 0, strict=True)) == dict.fromkeys(SOURCES, True)


def test_no_item_comes_twice_and_none_that_was_bought():
    histories = history_of(KNOWN)

    found = find(histories, batch_of(KNOWN))

    for i in range(len(KNOWN)):
        rows = found.rows[found.offsets[i] : found.offsets[i + 1]]
        assert len(np.unique(rows)) == len(rows)
        assert not np.isin(rows, purchased(histories.of_user(i))).any()


def test_an_unknown_user_gets_popular_and_new_items():
    found = find(Histories.of([NO_EVENTS]), batch_of(("nobody",)))

    offered = np.isfinite(found.features[:, SOURCE_RANKS]).any(axis=0)
    by_source = dict(zip(SOURCES, offered, strict=True))
    assert by_source["popular"]
    assert not by_source["similar_users"]
    assert not by_source["favorite_categories"]
    assert len(found.rows) >= 100


def test_items_out_of_stock_are_left_out():
    found = find(history_of(KNOWN), batch_of(KNOWN))

    assert CATALOGUE.in_stock[found.rows].all()


def test_one_click_changes_the_next_candidates():
    row = int(np.argmax(np.diff(WORLD.fitted.tables.neighbour_offsets)))
    clicked = make_events([row], [TYPE_CODES["click"]], [AT])

    found = find(Histories.of([clicked]), batch_of(("nobody",)))

    neighbours = WORLD.fitted.tables.neighbour_rows[
        WORLD.fitted.tables.neighbour_offsets[row] : WORLD.fitted.tables.neighbour_offsets[row + 1]
    ]
    led = found.because == row
    assert led.any()
    assert np.isin(found.rows[led], neighbours).all()


@pytest.mark.parametrize(
    ("did", "most"),
    [
        (("view",), "view"),
        (("rating", "view"), "rating"),
        (("cart", "click"), "cart"),
        (("purchase", "rating", "view"), "purchase"),
    ],
)
def test_says_the_most_that_the_user_did_with_the_item_that_led_to_a_candidate(did, most):
    row = int(np.argmax(np.diff(WORLD.fitted.tables.neighbour_offsets)))
    events = make_events([row] * len(did), [TYPE_CODES[name] for name in did], [AT] * len(did))

    found = find(Histories.of([NO_EVENTS, events]), batch_of(("nobody", "somebody")))

    assert set(found.because_type[found.because == row]) == {TYPE_CODES[most]}


def test_a_shop_without_categories_has_candidates_and_speaks_of_none():
    world = small_world(categorised=False)
    user = an_active_user()

    finder = CandidateFinder.of(world.fitted, CandidatesConfig())
    found = finder.find(batch_of((user,)), world.fitted.archive.read((user,), stale=False))

    assert (world.fitted.catalogue.categories.codes == MISSING).all()
    ranks = found.features[:, SOURCE_RANKS]
    by_source = dict(zip(SOURCES, np.isfinite(ranks).sum(axis=0), strict=True))
    assert by_source["favorite_categories"] == 0
    assert by_source["similar_users"] > 0


def test_events_on_items_that_came_after_the_catalogue_are_ignored():
    later = make_events([len(CATALOGUE) + 5, 3], [PURCHASE, PURCHASE], [AT, AT])

    found = find(Histories.of([later]), batch_of(("a",)))

    assert len(found.rows) >= 100
    assert 3 not in found.rows


def test_a_source_that_is_switched_off_offers_nothing():
    user = an_active_user()
    off = CandidatesConfig.model_validate({"recent_items": {"enabled": False}})

    found = find(history_of((user,)), batch_of((user,)), off)

    assert np.isnan(columns(found)["candidate.recent_items_rank"]).all()
    assert (found.because == -1).all()


def test_the_popular_source_cannot_be_switched_off():
    with pytest.raises(ValueError, match="popular"):
        CandidatesConfig.model_validate({"popular": {"enabled": False}})


def test_a_batch_gives_what_each_request_gives_alone():
    users = KNOWN[:12]
    together = find(history_of(users), batch_of(users))

    for i, user in enumerate(users):
        alone = find(history_of((user,)), batch_of((user,)))
        own = slice(together.offsets[i], together.offsets[i + 1])
        np.testing.assert_array_equal(together.rows[own], alone.rows)
        np.testing.assert_allclose(together.features[own], alone.features, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(together.because[own], alone.because)


def test_features_count_what_the_user_did_with_a_candidate():
    row = int(WORLD.fitted.tables.popular_rows[0])
    seen = make_events([row, row], [0, 0], [AT - 2 * 86_400, AT - 86_400])

    found = find(Histories.of([seen]), batch_of(("a",)))

    at = found.rows == row
    named = columns(found)
    assert named["candidate.log_times_seen"][at] == pytest.approx(np.log(3))
    assert named["candidate.days_since_seen"][at] == pytest.approx(1)
    assert np.isnan(named["candidate.days_since_seen"][~at]).all()


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "category": st.lists(
            st.sampled_from([*CATALOGUE.categories.vocabulary.take(range(5)), "none such"]),
            min_size=1,
            max_size=3,
        ),
        "price": st.fixed_dictionaries({"lte": st.floats(0, 100)}),
        "item_id": st.fixed_dictionaries(
            {"not_in": st.lists(st.integers(0, 299).map(CATALOGUE.item_ids.at), max_size=20)}
        ),
    },
)


@given(raw=FILTERS, n=st.integers(1, 100), user=st.sampled_from((*KNOWN, "nobody")))
@settings(max_examples=60, deadline=None)
def test_a_filter_however_narrow_leaves_enough_candidates(raw, n, user):
    wanted = filter_of(**raw)
    histories = history_of((user,))
    mask = AllowedItems(CATALOGUE).for_request(wanted, purchased(histories.of_user(0)))
    everything = np.arange(len(CATALOGUE), dtype=np.int32)
    n_allowed = mask.keeps(np.zeros_like(everything), everything).sum()

    found = find(histories, batch_of((user,), n, wanted))

    assert mask.keeps(np.zeros_like(found.rows), found.rows).all()
    assert len(found.rows) >= min(n, n_allowed)
