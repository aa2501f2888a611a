"""Writes the demo shop as the tables that ``recserve load`` reads."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from serve_app.demo.assortment import (
    BRANDS,
    CATEGORIES,
    MATERIALS,
    OUT_OF_SEASON,
    STYLES,
    Category,
)
from serve_app.demo.demo_ids import demo_ids
from serve_app.demo.purchases import Interactions
from serve_app.demo.tastes import Assortment, Floats, Numbers, Shoppers
from serve_app.domain.interactions import INTERACTION_TYPES


class _Words(NamedTuple):
    """Sources of an item's title, tags and brand."""

    category: Category
    style: str
    second_style: str
    material: str
    noun: str
    brand: str

    @property
    def name(self) -> str:
        return f"{self.style.capitalize()} {self.material} {self.noun}"

    @property
    def tags(self) -> list[str]:
        seasonal = {self.category.season} - {OUT_OF_SEASON}
        return sorted({self.style, self.second_style, self.material, self.brand} | seasonal)


def items_table(assortment: Assortment, numbers: Numbers, rng: np.random.Generator) -> pa.Table:
    """Makes the table of items in order of their ids; ``numbers``, shape (n,), are in the ids."""
    words = _words(assortment, rng)
    usual_prices = np.array([item.category.price for item in words])
    table = pa.table(
        {
            "item_id": demo_ids("i", numbers),
            "title": _titles(words),
            "category": [item.category.name for item in words],
            "price": np.round(usual_prices * np.exp(0.45 * assortment.price_levels), 2),
            "tags": pa.array([item.tags for item in words], pa.list_(pa.string())),
            "in_stock": rng.random(len(assortment)) < 0.95,
            "created_at": _times(assortment.launched_at),
            "brand": [item.brand for item in words],
        }
    )
    return table.take(np.argsort(numbers))


def users_table(shoppers: Shoppers) -> pa.Table:
    numbers = np.arange(len(shoppers.arrived_at))
    return pa.table({"user_id": demo_ids("u", numbers), "created_at": _times(shoppers.arrived_at)})


def interactions_table(interactions: Interactions, item_numbers: Numbers) -> pa.Table:
    """Makes the table of interactions, in their order."""
    _, visits = np.unique(interactions.visits, return_inverse=True)
    return pa.table(
        {
            "event_id": demo_ids("e", np.arange(len(interactions)), digits=9),
            "user_id": demo_ids("u", interactions.users),
            "item_id": demo_ids("i", item_numbers[interactions.items]),
            "timestamp": _times(interactions.at),
            "type": pa.array(INTERACTION_TYPES).take(interactions.types),
            "value": pa.array(interactions.values, from_pandas=True),
            "session_id": demo_ids("s", visits, digits=8),
        }
    )


def _words(assortment: Assortment, rng: np.random.Generator) -> list[_Words]:
    draws = rng.random((len(assortment), 3))
    # A brand stands for some styles. Half of the items get the brand of their first style, the
    # others a random one.
    brand_draws = np.where(
        rng.random(len(assortment)) < 0.5, assortment.styles[:, 0] / len(STYLES), draws[:, 2]
    )
    words = []
    for code, (first, second), (noun, material, _), brand in zip(
        assortment.categories.tolist(), assortment.styles.tolist(), draws, brand_draws, strict=True
    ):
        category = CATEGORIES[code]
        words.append(
            _Words(
                category,
                STYLES[first],
                STYLES[second],
                _pick(MATERIALS[category.made_of], material),
                _pick(category.nouns, noun),
                _pick(BRANDS[category.department], brand),
            )
        )
    return words


def _pick(words: tuple[str, ...], draw: float) -> str:
    return words[int(draw * len(words))]


def _titles(words: list[_Words]) -> list[str]:
    """Unique titles such as "Rustic oak serving board"; repeated ones get a brand or a number."""
    titles = pd.Series([item.name for item in words])
    branded = titles + [f" by {item.brand}" for item in words]
    titles = titles.where(~titles.duplicated(), branded)
    number = titles.groupby(titles).cumcount() + 1
    numbered: list[str] = titles.where(number == 1, titles + " " + number.astype(str)).tolist()
    return numbered


def _times(at: Floats) -> pa.Array:
    return pa.array((at * 1e6).astype(np.int64)).cast(pa.timestamp("us", tz="UTC"))
