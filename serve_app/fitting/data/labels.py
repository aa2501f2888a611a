"""What the fit leads users to, and the evaluator counts: the label."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask
from serve_app.domain.interactions import (
    INTERACTION_TYPES,
    PURCHASE,
    RATING,
    TYPE_CODES,
    TYPE_GRADES,
    InteractionLog,
)
from serve_app.domain.settings import Settings

WANTED = int(TYPE_GRADES.max())
"""Strength of what counts, of whatever type it is."""

CLICKED = int(TYPE_GRADES[TYPE_CODES["click"]])

_LEAST_SHARE = 0.01
"""A type of interaction that is rarer than this is not what a shop is about."""


class LabelConfig(Settings):
    """
    Attributes:
        type: of the interactions that count; the strongest that is at least 1 % of all when
            ``None``: purchase, cart, click, rating, view.
        min_rating: where ratings count, those at least this high.
        repeats: whether what a user had before may be recommended to him again, and counts.
    """

    type: Literal["view", "click", "cart", "purchase", "rating"] | None = None
    min_rating: float = 4.0
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """
    Attributes:
        type: code of the type that counts.
    """

    type: int
    min_rating: float = 4.0
    repeats: bool = False

    @property
    def config(self) -> LabelConfig:
        """Settings that give this label on any log."""
        return LabelConfig.model_validate(
            {
                "type": INTERACTION_TYPES[self.type],
                "min_rating": self.min_rating,
                "repeats": self.repeats,
            }
        )

    @property
    def hit(self) -> str:
        """What counts, in words."""
        name = INTERACTION_TYPES[self.type]
        return f"{name} of at least {self.min_rating:g}" if self.type == RATING else name

    @property
    def ending_types(self) -> Mask:
        """
        Shape (n_types,): after which types of interaction an item is no longer recommended to the
        user. What was bought never is, whatever counts; with repeats everything stays.
        """
        codes = np.arange(len(INTERACTION_TYPES))
        ends = (codes == self.type) | (codes == PURCHASE)
        return np.asarray(ends & (not self.repeats), bool)

    def counts(self, log: InteractionLog) -> Mask:
        """Which interactions are what users are to be led to, shape (len(log),)."""
        good = (self.type != RATING) | (log.values >= self.min_rating)
        return np.asarray((log.types == self.type) & good, bool)

    def strengths(self, log: InteractionLog) -> NDArray[np.uint8]:
        """``WANTED`` where it counts, less by the type elsewhere; shape (len(log),)."""
        others = np.minimum(TYPE_GRADES[log.types], WANTED - 1)
        return np.where(self.counts(log), WANTED, others).astype(np.uint8)


BOUGHT = Label(PURCHASE)


def label_of(log: InteractionLog, config: LabelConfig) -> Label:
    """What counts in this shop."""
    kind = _strongest(log) if config.type is None else TYPE_CODES[config.type]
    return Label(kind, config.min_rating, config.repeats)


def _strongest(log: InteractionLog) -> int:
    counts = np.bincount(log.types, minlength=len(INTERACTION_TYPES))
    frequent = counts >= max(_LEAST_SHARE * len(log), 1)
    return int(np.argmax(np.where(frequent, TYPE_GRADES, 0)))
