"""Leans on popularity for users without a history, where those to learn from are few.

All users of a window see the same numbers of an item. Trees then learn by heart which items sold
after its beginning by chance, and order the lists of the next newcomers by it. Users with a history
differ from each other, and keep the score of the trees alone.
"""

from typing import NamedTuple

import numpy as np

from serve_app.arrays.ragged import owners
from serve_app.fitting.moments.examples import LESS_THAN_ONE_EVENT, Examples, are_newcomers
from serve_app.fitting.training.averaging import average_boosters
from serve_app.fitting.training.boosting import VariantConfig
from serve_app.fitting.training.few_users import lean_weight
from serve_app.fitting.training.rising_trees import Gate, Rise, rising_booster
from serve_app.recommending.scoring.model_features import FEATURES

_EVENTS = "candidate.log_events"

_POPULARITIES = ("item.popularity", "candidate.popular_score")
"""Equal numbers. Items outside of the list of popular ones lack the second."""

_MOST_SLOPE = 10.0
"""Slope where nobody is new. Popularity is a logarithm: a slope of 1 has the odds of an item in
proportion to its interactions, and larger ones let the trees say less."""

_LOWEST = 0.05
"""Quantile of the candidates' popularity where the rise begins; lists are made of those above."""

_HEADROOM = 0.5
"""By so much may an item exceed the most popular one of the examples: shops grow."""


class Popularity(NamedTuple):
    """Popularity beside the model, as a booster; ``None`` where newcomers are enough."""

    booster: bytes | None

    def join(self, model: bytes) -> bytes:
        """The sum of both, with the objective and the base score of the model."""
        return model if self.booster is None else average_boosters([self.booster, model], [1, 1])


def lean_on_popularity(examples: Examples, config: VariantConfig) -> Popularity:
    """The popularity that a model leans on for users without events.

    Args:
        examples: that the model learns from.
    """
    newcomers = are_newcomers(examples)
    slope = popularity_slope(int(newcomers.sum()), config.few_newcomers)
    names = config.feature_names
    known = [name for name in _POPULARITIES if name in names]
    if not slope or _EVENTS not in names or not known:
        return Popularity(None)
    numbers = examples.matrix[:, FEATURES.index(known[0])]
    # Where nobody is new, the candidates of all users tell where popularities lie.
    if newcomers.any():
        numbers = numbers[newcomers[owners(examples.offsets)]]
    low, high = float(np.nanquantile(numbers, _LOWEST)), float(np.nanmax(numbers))
    # The most popular item keeps its score, and others sink: nothing seems wanted too surely.
    rise = Rise(names.index(known[0]), low, high + _HEADROOM, slope, centre=high)
    gate = Gate(names.index(_EVENTS), LESS_THAN_ONE_EVENT)
    return Popularity(rising_booster(rise, len(names), gate))


def popularity_slope(n_newcomers: int, few_newcomers: int) -> float:
    """Falls with the number of newcomers, to 0 at ``few_newcomers``."""
    return _MOST_SLOPE * lean_weight(n_newcomers, few_newcomers)
