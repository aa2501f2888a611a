"""Defines how a simulated shopper chooses from a list.

A shopper reads a list from the top and goes on to the next place with probability ``PATIENCE``. An
item that they look at is clicked, put into the cart and bought with the chances of the demo shop's
own funnel, which grow with the match of taste, quality and price. A visit has a need: one category
by the shopper's interests and the season, and sometimes a second one. Items of other categories are
clicked ``BY_THE_WAY`` times as often. What a shopper owns, and does not use up, is not clicked.

Source of the position model: Craswell et al., "An experimental comparison of click position-bias
models", 2008 (the cascade with a fixed patience).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from serve_app.arrays.columns import Mask, Rows
from serve_app.demo.choices import match, seasonal_demand
from serve_app.demo.purchases import PAID_SHARE, carting_chance, clicking_chance, is_consumable
from serve_app.demo.shopping import SECOND_SHARE
from serve_app.demo.tastes import HiddenShop

PATIENCE = 0.93
"""Probability to look at the next place of a list."""

BY_THE_WAY = 0.15
"""Factor of the chance to click an item that does not belong to the need of the visit."""

GOES_ON = (0.35, 0.8)
"""Probability to ask for another list after one without a click, and after one with clicks."""

MOST_LISTS = 4
"""Lists of a visit at most."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit of a shopper.

    Attributes:
        number: of the visit within the simulation.
        at: epoch seconds.
        need: codes of the categories that the shopper came for.
    """

    number: int
    shopper: int
    at: float
    need: tuple[int, ...]


class Choice(NamedTuple):
    """What a shopper did with an item of a list; what is later includes what is earlier."""

    position: int
    item: int
    carted: bool
    bought: bool


def need_of(shop: HiddenShop, shopper: int, at: float, rng: np.random.Generator) -> tuple[int, ...]:
    """Draws the need of a visit."""
    demand = shop.shoppers.favours[shopper] * seasonal_demand(np.array([at]))[0]
    demand = demand * shop.assortment.stocked
    n_needs = 1 + int(rng.random() < SECOND_SHARE)
    drawn = rng.choice(len(demand), n_needs, p=demand / demand.sum())
    return tuple(int(code) for code in drawn)


def choose_from(
    shop: HiddenShop, visit: Visit, items: Rows, owned: Mask, rng: np.random.Generator
) -> list[Choice]:
    """The items of a list that the shopper clicks, in the order of the list.

    Args:
        items: shape (n,), int32, items of the hidden shop from the top of the list.
        owned: shape (n,), bool, items that the shopper has bought already.
    """
    n = len(items)
    assortment = shop.assortment
    # One draw per place and decision, whatever happens: lists that differ stay comparable.
    draws = rng.random((4, n))
    looked = np.logical_and.accumulate(draws[0] < np.where(np.arange(n) == 0, 1.0, PATIENCE))
    suits = match(shop.shoppers, np.full(n, visit.shopper), assortment, items)
    categories = assortment.categories[items]
    interest = np.where(np.isin(categories, visit.need), 1.0, BY_THE_WAY)
    wanted = (assortment.launched_at[items] <= visit.at) & ~(owned & ~is_consumable(categories))
    clicked = looked & wanted & (draws[1] < interest * clicking_chance(suits))
    carted = clicked & (draws[2] < carting_chance(suits))
    bought = carted & (draws[3] < PAID_SHARE)
    return [
        Choice(place, int(items[place]), bool(carted[place]), bool(bought[place]))
        for place in np.flatnonzero(clicked).tolist()
    ]


def goes_on(choices: list[Choice], rng: np.random.Generator) -> bool:
    """Draws whether the shopper asks for another list."""
    return bool(rng.random() < GOES_ON[bool(choices)])
