"""Several models in one: what they say of a candidate is averaged."""

import json
from collections.abc import Sequence
from typing import Any

from serve_app.fitting.training.boosting import booster_from


def average_boosters(models: Sequence[bytes]) -> bytes:
    """
    One model with the trees of all, a leaf counting as much less as there are models.

    Its objective, and what it starts from before the first tree, are those of the last. Where the
    models started from other averages, its margins differ from the mean of theirs by a constant,
    which orders nothing.

    Args:
        models: of the same features, in XGBoost's own binary form (UBJSON).
    """
    if len(models) == 1:
        return models[0]
    documents = [json.loads(booster_from(model).save_raw("json")) for model in models]
    whole = documents[-1]
    trees = [tree for document in documents for tree in _scaled_trees(document, len(models))]
    for number, tree in enumerate(trees):
        tree["id"] = number
    forest = _forest(whole)
    forest["trees"] = trees
    forest["tree_info"] = [0] * len(trees)
    forest["iteration_indptr"] = list(range(len(trees) + 1))
    forest["gbtree_model_param"]["num_trees"] = str(len(trees))
    return bytes(booster_from(json.dumps(whole).encode()).save_raw("ubj"))


def _scaled_trees(document: dict[str, Any], n_models: int) -> list[dict[str, Any]]:
    """Gains become shares of the model's own: those of different objectives do not compare."""
    trees: list[dict[str, Any]] = _forest(document)["trees"]
    total_gain = sum(sum(tree["loss_changes"]) for tree in trees) or 1.0
    for tree in trees:
        tree["loss_changes"] = [gain / total_gain for gain in tree["loss_changes"]]
        # XGBoost keeps the value of a leaf where a node has its threshold.
        tree["split_conditions"] = [
            value / n_models if child < 0 else value
            for value, child in zip(tree["split_conditions"], tree["left_children"], strict=True)
        ]
    return trees


def _forest(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["learner"]["gradient_booster"]["model"]
    return found
