import numpy as np

from serve_app.arrays.units import DAY_S
from serve_app.simulation.shop_service import Listed
from serve_app.simulation.visits import LIST_LENGTH, day_start, draw_visits, go_through
from tests.unit.simulation.conftest import SMALL

START_AT = day_start(SMALL.end_at, 0)


def visits(crowd, day=0, share=0.3):
    return draw_visits(crowd, day, START_AT + day * DAY_S, 200, share, seed=1)


class Lists:
    """Answers with items in the order of their ids, and keeps what it was asked and told."""

    def __init__(self, crowd):
        self.crowd, self.asked, self.asked_at, self.told = crowd, [], [], []

    def ask(self, n, at):
        self.asked.append(n)
        self.asked_at.append(at)
        return Listed(tuple(self.crowd.item_id(item) for item in range(n)), f"r{len(self.asked)}")


def walk(crowd, visit, owned=None):
    lists = Lists(crowd)
    owned = set() if owned is None else owned
    outcome = go_through(crowd, visit, owned, lists.ask, lists.told.append, seed=1)
    return outcome, lists


def test_a_day_has_visits_of_known_users_and_of_newcomers(crowd):
    drawn = visits(crowd)

    assert len(drawn) == 200
    assert all(START_AT <= visit.at < START_AT + DAY_S for visit in drawn)
    n_new = sum(visit.shopper >= crowd.n_known for visit in drawn)
    assert 40 <= n_new <= 80


def test_without_newcomers_everybody_is_known(crowd):
    assert all(visit.shopper < crowd.n_known for visit in visits(crowd, share=0.0))


def test_days_differ_and_are_drawn_again_alike(crowd):
    assert visits(crowd) == visits(crowd)
    assert [visit.shopper for visit in visits(crowd)] != [v.shopper for v in visits(crowd, day=1)]


def test_a_visit_does_not_depend_on_other_visits(crowd):
    visit = visits(crowd)[3]

    assert walk(crowd, visit)[0] == walk(crowd, visit)[0]


def test_each_list_shows_items_that_the_shopper_has_not_seen_in_the_visit(crowd):
    asked = [walk(crowd, visit)[1].asked for visit in visits(crowd)]

    longest = max(asked, key=len)
    assert longest == [LIST_LENGTH * (i + 1) for i in range(len(longest))]
    assert len(longest) > 1


def test_what_a_shopper_does_is_told_before_they_ask_again(crowd):
    for visit in visits(crowd):
        outcome, lists = walk(crowd, visit)
        assert len(lists.told) == len(lists.asked) == outcome.n_lists
        assert [event for events in lists.told for event in events] == outcome.events


def test_lists_are_asked_for_in_the_time_of_the_visit(crowd):
    for visit in visits(crowd):
        _, lists = walk(crowd, visit)
        assert lists.asked_at[0] == visit.at
        bounds = zip(lists.asked_at, [*lists.asked_at[1:], np.inf], lists.told, strict=True)
        assert all(at < event.timestamp < end for at, end, events in bounds for event in events)


def test_events_name_the_answer_and_the_place_that_led_to_them(crowd):
    events = [event for visit in visits(crowd) for event in walk(crowd, visit)[0].events]

    assert {event.type for event in events} == {"click", "cart", "purchase"}
    assert len({event.event_id for event in events}) == len(events)
    first = next(event for event in events if event.request_id == "r1")
    assert first.item_id == crowd.item_id(first.position)


def test_what_was_bought_is_owned_from_then_on(crowd):
    owned = set()

    bought = [item for visit in visits(crowd) for item in walk(crowd, visit, owned)[0].bought]

    assert owned == set(bought)
    durable = [
        item
        for item in bought
        if not np.isin(crowd.shop.assortment.categories[item], _consumable(crowd))
    ]
    assert len(set(durable)) == len(durable)


def _consumable(crowd):
    from serve_app.demo.purchases import is_consumable

    codes = np.arange(len(crowd.shop.assortment.stocked))
    return codes[is_consumable(codes)]
