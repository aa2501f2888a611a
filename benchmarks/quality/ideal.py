"""The demo shop's own known tastes as a model to compare with."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.data import DEMO
from serve_app.demo.demo_shop import Hidden, make_hidden
from serve_app.demo.ideal import ideal_scores
from serve_app.evaluation.protocol import EvaluationSplit
from serve_app.evaluation.training_matrix import ScoreItems
from serve_app.loading.in_memory import LoadedFiles

_N_MOMENTS = 4


def ideal_scorer(shop: LoadedFiles, split: EvaluationSplit) -> ScoreItems:
    """Scores of the ranked items in the test's window, by what the simulation knows."""
    hidden = make_hidden(DEMO)
    items = items_of(shop.items["item_id"].to_numpy()[split.item_rows], hidden)
    users = np.array([int(split.known.user_ids[i][1:]) for i in split.user_numbers], np.int32)
    bounds = np.linspace(split.cut_at, split.end_at, _N_MOMENTS + 1)
    moments = (bounds[:-1] + bounds[1:]) / 2

    def scores(numbers: NDArray[np.int32]) -> NDArray[np.float64]:
        return ideal_scores(hidden.shop, users[numbers], items, moments)

    return scores


def items_of(ids: Iterable[str], hidden: Hidden) -> NDArray[np.int32]:
    """Numbers in the assortment of the items with these ids."""
    number_of = {f"i{number:06d}": i for i, number in enumerate(hidden.item_numbers.tolist())}
    return np.array([number_of[item_id] for item_id in ids], np.int32)
