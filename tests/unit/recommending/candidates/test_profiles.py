import numpy as np
import pytest

from serve_app.arrays.units import DAY_S
from serve_app.domain.interactions import (
    NO_EVENTS,
    TYPE_CODES,
    TYPE_WEIGHTS,
    Histories,
    make_events,
)
from serve_app.recommending.candidates.profiles import (
    affinities,
    drop_unknown_items,
    event_weights,
    profiles_of,
    user_factors,
)
from tests.support.small_world import AT, small_world

CATALOGUE = small_world().fitted.catalogue
HALF_LIFE = 30.0
FACTORS = np.array([[1, 0], [0, 1], [2, 2]], np.float32)
VIEW, CLICK, CART, PURCHASE, RATING = range(5)


def history(*events):
    """Events as (row, type, days ago)."""
    rows, types, days = zip(*events, strict=True)
    return make_events(rows, types, [AT - day * DAY_S for day in days])


def profile(*histories):
    at = np.full(len(histories), AT)
    return profiles_of(Histories.of(histories), CATALOGUE, CATALOGUE.vectors, at, HALF_LIFE)


def rows_of(code, n):
    return np.flatnonzero(CATALOGUE.categories.codes == code)[:n].tolist()


def test_types_weigh_what_they_say():
    assert dict(zip(TYPE_CODES, TYPE_WEIGHTS.tolist(), strict=True)) == pytest.approx(
        {"view": 0.2, "click": 0.3, "cart": 0.6, "purchase": 1.0, "rating": 0.5, "return": 0.0}
    )


def test_an_event_says_half_as_much_after_its_half_life():
    histories = Histories.of([history((0, PURCHASE, 60), (0, PURCHASE, 30), (0, PURCHASE, 0))])

    assert event_weights(histories, np.array([AT]), HALF_LIFE).tolist() == pytest.approx(
        [0.25, 0.5, 1]
    )


def test_an_event_ages_by_the_moment_of_its_own_request():
    histories = Histories.of([history((0, PURCHASE, 0)), history((0, PURCHASE, 0))])
    moments = np.array([AT, AT + HALF_LIFE * DAY_S])

    assert event_weights(histories, moments, HALF_LIFE).tolist() == pytest.approx([1, 0.5])


def test_an_event_from_the_future_says_no_more_than_one_from_now():
    histories = Histories.of([history((0, PURCHASE, -5))])

    assert event_weights(histories, np.array([AT]), HALF_LIFE).tolist() == [1.0]


def test_category_shares_are_by_weight_and_sum_to_one():
    [first], [second] = rows_of(0, 1), rows_of(1, 1)

    shares = profile(history((first, PURCHASE, 0), (second, RATING, 0))).category_shares

    assert shares[0, [0, 1]].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert shares.sum() == pytest.approx(1)


def test_taste_points_to_what_the_user_likes():
    row = int(np.flatnonzero(np.linalg.norm(CATALOGUE.vectors, axis=1) > 0)[0])

    tastes = profile(history((row, VIEW, 0), (row, CLICK, 9))).tastes

    np.testing.assert_allclose(tastes[0], CATALOGUE.vectors[row], rtol=1e-5, atol=1e-6)


def test_prices_are_averaged_by_weight_where_they_are_known():
    prices = CATALOGUE.number("price")
    first, second = np.flatnonzero(np.isfinite(prices))[:2].tolist()

    found = profile(history((first, PURCHASE, 0), (second, PURCHASE, 30))).log_prices

    assert found[0] == pytest.approx(
        (np.log1p(prices[first]) + 0.5 * np.log1p(prices[second])) / 1.5, rel=1e-5
    )


def test_who_did_nothing_has_no_taste():
    found = profile(NO_EVENTS, history((0, VIEW, 0)))

    assert found.category_shares[0].sum() == 0
    assert (found.tastes[0] == 0).all()
    assert np.isnan(found.log_prices[0])
    assert found.category_shares[1].sum() == pytest.approx(1)


def test_users_do_not_mix():
    first, second = history((0, PURCHASE, 1), (5, VIEW, 0)), history((7, CART, 3))

    together, alone = profile(first, second), profile(second)

    np.testing.assert_array_equal(together.category_shares[1], alone.category_shares[0])
    np.testing.assert_array_equal(together.tastes[1], alone.tastes[0])
    np.testing.assert_array_equal(together.log_prices[1], alone.log_prices[0])


def test_events_on_items_that_came_later_are_left_out_of_their_own_user():
    later = len(CATALOGUE)
    histories = Histories.of([history((0, VIEW, 2), (later, VIEW, 1)), history((3, VIEW, 0))])

    found = drop_unknown_items(histories, CATALOGUE)

    assert [found.of_user(i)["row"].tolist() for i in range(2)] == [[0], [3]]


def test_histories_on_known_items_are_left_as_they_are():
    histories = Histories.of([history((0, VIEW, 2))], [True])

    assert drop_unknown_items(histories, CATALOGUE) is histories


def test_factors_of_a_user_add_up_their_items_each_once_by_its_strongest_event():
    several = make_events([1, 0, 1, 1], [VIEW, VIEW, PURCHASE, VIEW], [1, 2, 3, 4])
    one = make_events([2], [PURCHASE], [1])

    found = user_factors(Histories.of([several, NO_EVENTS, one]), FACTORS)

    assert found.tolist() == [pytest.approx([0.2, 1.0]), [0, 0], [2, 2]]


def test_affinity_is_the_product_of_the_factors_of_user_and_item():
    rows, requests = np.array([2, 0, 1], np.int32), np.array([0, 0, 1])
    of_users = np.array([[1, 2], [3, 4]], np.float32)

    assert affinities(rows, requests, of_users, FACTORS).tolist() == [6, 1, 4]
