"""Merges several boosters into one whose margins are their average."""

import json
from collections.abc import Sequence
from typing import Any

from serve_app.fitting.training.boosting import parse_booster


def average_boosters(models: Sequence[bytes], weights: Sequence[float] | None = None) -> bytes:
    """Makes one booster of the trees of all, whose leaves are multiplied by the weights.

    Objective and base score are those of the last model. If base scores differ, the margins differ
    from the mean by a constant, which changes no order.

    Args:
        models: of equal features, in XGBoost's binary form (UBJSON).
        weights: above 0, with a sum of 1; equal ones without it.
    """
    if len(models) == 1:
        return models[0]
    # XGBoost has no function to merge boosters. Its JSON format is documented.
    documents = [json.loads(parse_booster(model).save_raw("json")) for model in models]
    merged = documents[-1]
    # A division by a whole number is exact where a product with its inverse is rounded.
    divisors = [len(models)] * len(models) if weights is None else [1 / each for each in weights]
    trees = [
        tree
        for document, divisor in zip(documents, divisors, strict=True)
        for tree in _scaled_trees(document, divisor)
    ]
    # Ids restart at 0 in every document.
    for number, tree in enumerate(trees):
        tree["id"] = number
    forest = _forest(merged)
    forest["trees"] = trees
    forest["tree_info"] = [0] * len(trees)
    forest["iteration_indptr"] = list(range(len(trees) + 1))
    forest["gbtree_model_param"]["num_trees"] = str(len(trees))
    return bytes(parse_booster(json.dumps(merged).encode()).save_raw("ubj"))


def _scaled_trees(document: dict[str, Any], divisor: float) -> list[dict[str, Any]]:
    """Divides leaves by the divisor, and gains by the total gain of the model."""
    trees: list[dict[str, Any]] = _forest(document)["trees"]
    # Gains of different objectives have different units; shares of the total can be added up.
    total_gain = sum(sum(tree["loss_changes"]) for tree in trees) or 1.0
    for tree in trees:
        tree["loss_changes"] = [gain / total_gain for gain in tree["loss_changes"]]
        # XGBoost stores the value of a leaf where an inner node has its threshold.
        tree["split_conditions"] = [
            value / divisor if child < 0 else value
            for value, child in zip(tree["split_conditions"], tree["left_children"], strict=True)
        ]
    return trees


def _forest(document: dict[str, Any]) -> dict[str, Any]:
    model: dict[str, Any] = document["learner"]["gradient_booster"]["model"]
    return model
