"""The demo shop's items and users as latent vectors.

Tastes are what a recommender has to find out; nothing of them is written to the files but the
words of an item's styles and its price.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows
from serve_app.arrays.ragged import Offsets, offsets_of
from serve_app.demo.assortment import CATEGORIES, STYLES
from serve_app.domain.scoring.model_features import DAY_S

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Numbers = NDArray[np.integer]

# Chosen so that lists for everybody find something and personal lists find several times as much.
_HIDDEN_TRAITS = 6
TASTE_STRENGTH = 1.3
PRICE_SPREAD = 0.8
CATEGORY_CONCENTRATION = 0.9
_CURIOSITY = 0.05
_FAME_EXPONENT = 1.3


@dataclass(frozen=True, slots=True)
class Assortment:
    """
    Attributes:
        categories: shape (n,), int32, ascending: items stand by category, best known first.
        shelves: shape (n_categories + 1,), int64, where each category's items start.
        styles: shape (n, 2), int32, first and second style of each item.
        traits: shape (n, d), float32, what tastes are matched with.
        price_levels: shape (n,), float32, standard deviations above the category's usual price.
        quality: shape (n,), float32, what everybody likes or dislikes.
        launched_at: shape (n,), epoch seconds.
        attention: shape (n + 1,), running total of how often items are looked at.
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
        """Shape (n_categories,), categories that hold any item."""
        return np.diff(self.shelves) > 0


@dataclass(frozen=True, slots=True)
class Shoppers:
    """
    Attributes:
        favours: shape (n, n_categories), float32, interest in each category, seasons apart.
        tastes: shape (n, d), float32.
        price_levels: shape (n,), float32, as ``Assortment.price_levels``.
        arrived_at: shape (n,), epoch seconds, at midnight.
        activity: shape (n,), relative number of visits.
    """

    favours: Vectors
    tastes: Vectors
    price_levels: Vectors
    arrived_at: Floats
    activity: Floats


def appeals() -> Floats:
    """The share of interest that each category has with everybody, shape (n_categories,)."""
    appeal = np.array([category.appeal for category in CATEGORIES], np.float64)
    shares: Floats = appeal / appeal.sum()
    return shares


def favours_of(interests: Floats) -> Floats:
    """
    Shares of interest that are large in a few categories; anybody buys anything at times.

    Args:
        interests: shape (n, n_categories), gamma variables.
    """
    favours: Floats = interests / interests.sum(axis=1, keepdims=True) + _CURIOSITY * appeals()
    return favours


def make_assortment(
    n_items: int, start_at: float, end_at: float, rng: np.random.Generator
) -> Assortment:
    drawn = rng.choice(len(CATEGORIES), n_items, p=appeals())
    categories = np.sort(drawn).astype(np.int32)
    shelves = offsets_of(np.bincount(categories, minlength=len(CATEGORIES)))
    place = np.arange(n_items) - shelves[categories]

    styles = rng.integers(len(STYLES), size=(n_items, 2), dtype=np.int32)
    traits = _traits(styles, rng)
    # Three of ten come during the period; the best known of each category never do.
    launched_at = start_at + (end_at - start_at) * (rng.random(n_items) * 10 - 7) / 3
    launched_at = np.where(place == 0, start_at - DAY_S, launched_at)
    attention = (place + 1.0) ** -_FAME_EXPONENT
    # Each category gets attention 1 in all, so that a share of it is a position on its shelf.
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
    """An item's styles, and traits that no word tells."""
    traits = np.zeros((len(styles), len(STYLES) + _HIDDEN_TRAITS), np.float32)
    np.put_along_axis(traits, styles[:, 1:], 0.5, axis=1)
    np.put_along_axis(traits, styles[:, :1], 1.0, axis=1)
    traits[:, len(STYLES) :] = 0.4 * rng.standard_normal((len(styles), _HIDDEN_TRAITS))
    return traits


def make_shoppers(
    n_users: int, start_at: float, end_at: float, rng: np.random.Generator
) -> Shoppers:
    shapes = CATEGORY_CONCENTRATION * appeals()
    favours = favours_of(rng.standard_gamma(shapes, (n_users, len(CATEGORIES))))
    n_traits = len(STYLES) + _HIDDEN_TRAITS
    # Half were there before the period began; the rest arrive evenly through it.
    arrived_at = start_at + (end_at - start_at) * np.maximum(rng.random(n_users) * 2 - 1, 0.0)
    return Shoppers(
        favours=favours.astype(np.float32),
        tastes=TASTE_STRENGTH * rng.standard_normal((n_users, n_traits), np.float32),
        price_levels=PRICE_SPREAD * rng.standard_normal(n_users, np.float32),
        arrived_at=arrived_at // DAY_S * DAY_S,
        activity=rng.lognormal(0.0, 0.9, n_users),
    )
