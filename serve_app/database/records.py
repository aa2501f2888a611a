"""Defines the rows that PostgreSQL gives the serving side: numbers of users, and items."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UserRow = NDArray[np.float64]
"""Numbers about a user, shape (11,), columns as ``model_features.USER_COLUMNS``."""

Attribute = str | float | int | bool | None | list["Attribute"] | dict[str, "Attribute"]


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item as it is shown.

    Attributes:
        avg_rating: a float32 as ``shortest_float32`` gives it.
        attributes: any JSON: texts, numbers, flags, lists of these.
    """

    title: str | None
    category: str
    price: float | None
    tags: tuple[str, ...]
    in_stock: bool
    avg_rating: float | None
    num_ratings: int
    attributes: Mapping[str, Attribute]


def shortest_float32(number: float | None) -> float | None:
    """The number with the fewest digits that is the same float32; ``None`` stays ``None``.

    A float32 that is widened to a Python float prints digits that it never held: 7/3 would be
    2.3333332538604736 instead of 2.3333333.
    """
    return None if number is None else float(str(np.float32(number)))
