"""The demo shop's interactions as columns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows
from serve_app.demo.tastes import Floats
from serve_app.domain.interactions import TYPE_CODES


@dataclass(frozen=True, slots=True)
class Interactions:
    """
    Attributes:
        users: shape (n,), int32.
        items: shape (n,), int32.
        at: shape (n,), epoch seconds.
        types: shape (n,), uint8, index into ``INTERACTION_TYPES``.
        values: shape (n,), quantity of a purchase, stars of a rating, NaN otherwise.
        visits: shape (n,), int64, number of the visit that it is part of.
    """

    users: Rows
    items: Rows
    at: Floats
    types: NDArray[np.uint8]
    values: Floats
    visits: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.users)

    @property
    def next_visit(self) -> int:
        """The first number that no visit has."""
        return int(self.visits.max(initial=-1)) + 1

    def where(self, kept: NDArray[np.integer] | Mask | slice) -> "Interactions":
        return Interactions(*(getattr(self, column.name)[kept] for column in fields(self)))

    @classmethod
    def joined(cls, parts: "Sequence[Interactions]") -> "Interactions":
        names = [column.name for column in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def then(
        self, kind: str, delay_s: Floats | float, values: Floats | float = np.nan
    ) -> "Interactions":
        """The same users do something further with the same items."""
        return replace(
            self,
            at=self.at + delay_s,
            types=np.full(len(self), TYPE_CODES[kind], np.uint8),
            values=np.full(len(self), values),
        )
