"""Draws the visits of a day, and lets shoppers go through them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from serve_app.arrays.units import DAY_S
from serve_app.simulation.choice_model import (
    MOST_LISTS,
    Choice,
    Visit,
    choose_from,
    goes_on,
    need_of,
)
from serve_app.simulation.crowd import Crowd
from serve_app.simulation.shop_service import Event, Listed

LIST_LENGTH = 12
"""New items that a shopper sees of each list."""

_SECONDS_PER_LIST = 90.0
_CLICK_S, _CART_S, _PURCHASE_S = 7.0, 25.0, 55.0

AskForList = Callable[[int, float], Listed]
"""Makes a list of so many items for the shopper of a visit, at an epoch second."""

Tell = Callable[[list[Event]], None]
"""Takes the events of a list, before the shopper asks for the next one."""


@dataclass(slots=True)
class Outcome:
    """What came of a visit.

    Attributes:
        bought: items in the order of their purchases.
    """

    shopper: int
    n_lists: int = 0
    n_clicks: int = 0
    bought: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def draw_visits(
    crowd: Crowd, day: int, start_at: float, n: int, newcomer_share: float, seed: int
) -> list[Visit]:
    """The visits of one day, by shopper and then by time.

    Args:
        day: number of the day, from 0.
        start_at: epoch seconds, midnight.
        newcomer_share: share of the visits by shoppers whom the shop does not know.
    """
    rng = np.random.default_rng([seed, day])
    shoppers = crowd.shop.shoppers
    is_new = rng.random(n) < newcomer_share
    chances = shoppers.activity / shoppers.activity[: crowd.n_known].sum()
    known = rng.choice(crowd.n_known, n, p=chances[: crowd.n_known])
    new = crowd.n_known + rng.integers(max(len(crowd) - crowd.n_known, 1), size=n)
    drawn = np.where(is_new & (len(crowd) > crowd.n_known), new, known)
    at = start_at + rng.triangular(6.0, 19.5, 23.5, n) * 3_600.0
    visits = [
        Visit(day * n + i, shopper, when, need_of(crowd.shop, shopper, when, rng))
        for i, (shopper, when) in enumerate(zip(drawn.tolist(), at.tolist(), strict=True))
    ]
    return sorted(visits, key=lambda visit: (visit.shopper, visit.at))


def go_through(
    crowd: Crowd, visit: Visit, owned: set[int], ask: AskForList, tell: Tell, seed: int
) -> Outcome:
    """Lets a shopper see lists, and click and buy from them, until they have enough.

    Args:
        owned: items that the shopper has; what they buy is added.
    """
    # A generator for each visit: what happens does not depend on the order of threads.
    rng = np.random.default_rng([seed, 1, visit.number])
    outcome, seen = Outcome(visit.shopper), set[str]()
    for number in range(MOST_LISTS):
        at = visit.at + number * _SECONDS_PER_LIST
        listed = ask(LIST_LENGTH + len(seen), at)
        fresh = [item_id for item_id in listed.item_ids if item_id not in seen][:LIST_LENGTH]
        items = [(item_id, crowd.item(item_id)) for item_id in fresh]
        known = np.array([item for _, item in items if item is not None], np.int32)
        has = np.array([int(item) in owned for item in known], bool)
        choices = choose_from(crowd.shop, visit, known, has, rng)
        events = list(_events(crowd, visit, number, at, listed, choices))
        outcome.n_lists += 1
        outcome.n_clicks += len(choices)
        outcome.bought += [choice.item for choice in choices if choice.bought]
        owned.update(outcome.bought)
        outcome.events += events
        tell(events)
        seen.update(fresh)
        if not fresh or not goes_on(choices, rng):
            break
    return outcome


def _events(
    crowd: Crowd, visit: Visit, number: int, at: float, listed: Listed, choices: Iterable[Choice]
) -> Iterable[Event]:
    position_of = {item_id: place for place, item_id in enumerate(listed.item_ids)}
    for choice in choices:
        item_id = crowd.item_id(choice.item)
        did = (
            ("click", True, _CLICK_S),
            ("cart", choice.carted, _CART_S),
            ("purchase", choice.bought, _PURCHASE_S),
        )
        for kind, happened, later_s in did:
            if happened:
                yield Event(
                    event_id=f"simulated-{visit.number}-{number}-{item_id}-{kind}",
                    user_id=crowd.user_id(visit.shopper),
                    item_id=item_id,
                    type=kind,
                    timestamp=at + later_s,
                    session_id=f"simulated-{visit.number}",
                    request_id=listed.request_id,
                    position=position_of[item_id],
                )


def day_start(demo_end_at: float, day: int) -> float:
    """Midnight of a simulated day; the first follows the history of the demo shop."""
    return demo_end_at // DAY_S * DAY_S + day * DAY_S
