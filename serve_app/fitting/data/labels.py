"""Defines the label: the interactions that recommendations should lead to."""

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.arrays.columns import Mask
from serve_app.domain.interactions import (
    INTERACTION_TYPES,
    PURCHASE,
    RATING,
    TYPE_CODES,
    TYPE_ENDS,
    TYPE_GRADES,
    InteractionLog,
)
from serve_app.domain.settings import Settings

WANTED = int(TYPE_GRADES.max())
"""Strength of an interaction that the label counts, of any type."""

CLICKED = int(TYPE_GRADES[TYPE_CODES["click"]])

_LIKED, _LIKED_OF = 4.0, 5.0

# A shop is not about types of interaction that are rarer.
_LEAST_SHARE = 0.01


class LabelConfig(Settings):
    """Settings of the label."""

    type: Literal["view", "click", "cart", "purchase", "rating"] | None = Field(
        default=None,
        description="Type of interaction that counts. By default the first of purchase, cart,"
        " click, rating and view that makes up at least 1 % of the interactions.",
    )
    min_rating: float | None = Field(
        default=None,
        description="Lowest rating that counts, if the type is rating. By default 4 of 5; where the"
        " largest rating is above 5 or at most 1, four fifths of it.",
    )
    repeats: bool = Field(
        default=False,
        description="Recommend items again that the user has bought or had a counted interaction"
        " with, and count them.",
    )

    def on_scale(self, max_rating: float) -> "LabelConfig":
        """The settings for ratings up to ``max_rating``: unless it was set, four fifths of it count
        as the lowest rating.
        """
        if self.min_rating is not None:
            return self
        return self.model_copy(update={"min_rating": _LIKED / _LIKED_OF * max_rating})


@dataclass(frozen=True, slots=True)
class Label:
    """The interactions that count as a success; ``type`` is the code of their type."""

    type: int
    min_rating: float = _LIKED
    repeats: bool = False

    @property
    def config(self) -> LabelConfig:
        """Settings that give this label, whatever the log is."""
        return LabelConfig.model_validate(asdict(self) | {"type": INTERACTION_TYPES[self.type]})

    @property
    def hit(self) -> str:
        """The counted interaction, in words."""
        name = INTERACTION_TYPES[self.type]
        return f"{name} of at least {self.min_rating:g}" if self.type == RATING else name

    @property
    def ending_types(self) -> Mask:
        """Types of interaction after which an item is no longer recommended to the user.

        Shape (n_types,), by code. Types that end the interest always do, and so does the counted
        type. With ``repeats`` nothing does.
        """
        ends = TYPE_ENDS | (np.arange(len(TYPE_ENDS)) == self.type)
        return np.asarray(ends & (not self.repeats), bool)

    def counts(self, log: InteractionLog) -> Mask:
        """Interactions that the label counts, shape (len(log),)."""
        good = (self.type != RATING) | (log.values >= self.min_rating)
        return np.asarray((log.types == self.type) & good, bool)

    def strengths(self, log: InteractionLog) -> NDArray[np.uint8]:
        """``WANTED`` where the label counts, else less, by the type; shape (len(log),), uint8."""
        # The grade of a purchase is WANTED: where clicks count, a purchase must stay below them.
        others = np.minimum(TYPE_GRADES[log.types], WANTED - 1)
        return np.where(self.counts(log), WANTED, others).astype(np.uint8)


BOUGHT = Label(PURCHASE)


def choose_label(log: InteractionLog, config: LabelConfig) -> Label:
    """Chooses the label for the interactions of a shop."""
    kind = _strongest(log) if config.type is None else TYPE_CODES[config.type]
    on_scale = config.on_scale(rating_scale(log))
    assert on_scale.min_rating is not None, "the scale gives one"
    return Label(kind, on_scale.min_rating, config.repeats)


def rating_scale(log: InteractionLog) -> float:
    """The top of the scale of ratings: 5, or the largest rating if that is above 5 or at most 1."""
    ratings = log.values[log.types == RATING]
    largest = float(np.nanmax(ratings)) if np.isfinite(ratings).any() else _LIKED_OF
    return largest if largest > _LIKED_OF or 0 < largest <= 1 else _LIKED_OF


def _strongest(log: InteractionLog) -> int:
    counts = np.bincount(log.types, minlength=len(INTERACTION_TYPES))
    frequent = counts >= max(_LEAST_SHARE * len(log), 1)
    return int(np.argmax(np.where(frequent, TYPE_GRADES, 0)))
