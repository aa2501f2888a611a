"""Makes the demo shop's items and users as latent vectors.

Tastes are hidden: a recommender has to infer them. The files hold only the words of an item's
styles and its price.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows
from serve_app.arrays.ragged import Offsets, offsets_of
from serve_app.arrays.units import DAY_S
from serve_app.demo.assortment import CATEGORIES, STYLES

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Numbers = NDArray[np.integer]

# Chosen to let popular items predict a little, and personal lists several times as much.
_HIDDEN_TRAITS = 6
TASTE_STRENGTH = 1.3
PRICE_SPREAD = 0.8
CATEGORY_CONCENTRATION = 0.9
_CURIOSITY = 0.05
_FAME_EXPONENT = 1.3


@dataclass(frozen=True, slots=True)
class Assortment:
    """Items of the demo shop as columns, category after category.

    Attributes:
        categories: shape (n,), int32, ascending. Within a category, the best-known item is first.
        shelves: shape (n_categories + 1,), int64, first item of each category.
        styles: shape (n, 2), int32, first and second style of each item.
        traits: shape (n, d), float32, matched with users' tastes.
        price_levels: shape (n,), float32, standard deviations above the category's usual price.
        quality: shape (n,), float32, added to every user's match.
        launched_at: shape (n,), epoch seconds.
        attention: shape (n + 1,), running total of the items' attention; 1 per category.
    """

    categories: Rows
    shelves: Offsets
    styles: Rows
    traits: Vectors
    price_levels: Vectors
    quality: Vectors
    launched_at: Floats
    attention: Floats

    def __len__(self) -> int:
        return len(self.categories)

    @property
    def stocked(self) -> Mask:
        """Marks the categories that hold any item, shape (n_categories,)."""
        return np.diff(self.shelves) > 0


@dataclass(frozen=True, slots=True)
class Shoppers:
    """Users of the demo shop as columns.

    Attributes:
        favours: shape (n, n_categories), float32, interest in each category without seasons.
        tastes: shape (n, d), float32.
        price_levels: shape (n,), float32, as ``Assortment.price_levels``.
        arrived_at: shape (n,), epoch seconds, at midnight.
        activity: shape (n,), relative number of visits per day.
    """

    favours: Vectors
    tastes: Vectors
    price_levels: Vectors
    arrived_at: Floats
    activity: Floats


@dataclass(frozen=True, slots=True)
class HiddenShop:
    """The demo shop as its simulation knows it.

    Attributes:
        shoppers: by the numbers in their ids.
        end_at: epoch seconds; nothing happens from then on.
        partners: shape (n_items,), int32, the item bought along with each item, or ``MISSING``.
        item_numbers: shape (n_items,), the numbers in the ids of the items.
    """

    assortment: Assortment
    shoppers: Shoppers
    end_at: float
    partners: Rows
    item_numbers: Numbers


def appeals() -> Floats:
    """Mean share of interest in each category, shape (n_categories,)."""
    appeal = np.array([category.appeal for category in CATEGORIES], np.float64)
    shares: Floats = appeal / appeal.sum()
    return shares


def favours_of(interests: Floats) -> Floats:
    """Computes shares of interest: large in a few categories, above zero in all.

    Args:
        interests: shape (n, n_categories), gamma variables.
    """
    favours: Floats = interests / interests.sum(axis=1, keepdims=True) + _CURIOSITY * appeals()
    return favours


def make_assortment(
    n_items: int, start_at: float, end_at: float, rng: np.random.Generator
) -> Assortment:
    """Draws items; the order of the draws fixes the shop of a seed."""
    drawn = rng.choice(len(CATEGORIES), n_items, p=appeals())
    categories = np.sort(drawn).astype(np.int32)
    shelves = offsets_of(np.bincount(categories, minlength=len(CATEGORIES)))
    rank = np.arange(n_items) - shelves[categories]

    styles = rng.integers(len(STYLES), size=(n_items, 2), dtype=np.int32)
    traits = _traits(styles, rng)
    # Three of ten items are launched during the period. The best-known item of a category is on
    # sale from the start: every stocked category has something to sell.
    launched_at = start_at + (end_at - start_at) * (rng.random(n_items) * 10 - 7) / 3
    launched_at = np.where(rank == 0, start_at - DAY_S, launched_at)
    attention = (rank + 1.0) ** -_FAME_EXPONENT
    # The attention of a category adds up to 1: choices.choose draws positions on its shelf.
    attention /= np.bincount(categories, attention, len(CATEGORIES))[categories]
    return Assortment(
        categories=categories,
        shelves=shelves,
        styles=styles,
        traits=traits,
        price_levels=rng.standard_normal(n_items, np.float32),
        quality=0.3 * rng.standard_normal(n_items, np.float32),
        launched_at=launched_at,
        attention=np.concatenate([[0.0], np.cumsum(attention)]),
    )


def _traits(styles: Rows, rng: np.random.Generator) -> Vectors:
    """Traits of the items: their styles, and hidden ones that no word describes."""
    traits = np.zeros((len(styles), len(STYLES) + _HIDDEN_TRAITS), np.float32)
    np.put_along_axis(traits, styles[:, 1:], 0.5, axis=1)
    np.put_along_axis(traits, styles[:, :1], 1.0, axis=1)
    traits[:, len(STYLES) :] = 0.4 * rng.standard_normal((len(styles), _HIDDEN_TRAITS))
    return traits


def make_shoppers(
    n_users: int, start_at: float, end_at: float, rng: np.random.Generator
) -> Shoppers:
    """Draws users; the order of the draws fixes the shop of a seed."""
    shapes = CATEGORY_CONCENTRATION * appeals()
    favours = favours_of(rng.standard_gamma(shapes, (n_users, len(CATEGORIES))))
    n_traits = len(STYLES) + _HIDDEN_TRAITS
    # Half of the users are there from the start; the others arrive evenly over the period.
    arrived_at = start_at + (end_at - start_at) * np.maximum(rng.random(n_users) * 2 - 1, 0.0)
    return Shoppers(
        favours=favours.astype(np.float32),
        tastes=TASTE_STRENGTH * rng.standard_normal((n_users, n_traits), np.float32),
        price_levels=PRICE_SPREAD * rng.standard_normal(n_users, np.float32),
        arrived_at=arrived_at // DAY_S * DAY_S,
        activity=rng.lognormal(0.0, 0.9, n_users),
    )
