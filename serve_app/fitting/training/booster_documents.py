"""Reads and writes boosters as XGBoost's JSON documents, whose format is documented."""

import json
from collections.abc import Sequence
from typing import Any

from serve_app.fitting.training.boosting import parse_booster

Document = dict[str, Any]
Tree = dict[str, Any]


def document_of(model: bytes) -> Document:
    """
    Args:
        model: in XGBoost's binary form (UBJSON).
    """
    document: Document = json.loads(parse_booster(model).save_raw("json"))
    return document


def trees_of(document: Document) -> list[Tree]:
    trees: list[Tree] = _forest(document)["trees"]
    return trees


def booster_of(document: Document, trees: Sequence[Tree]) -> bytes:
    """The booster of a document with other trees, in XGBoost's binary form (UBJSON)."""
    forest, learner = _forest(document), document["learner"]
    n = len(trees)
    replaced = {
        **forest,
        # Ids restart at 0 in every document that trees come from.
        "trees": [{**tree, "id": number} for number, tree in enumerate(trees)],
        "tree_info": [0] * n,
        "iteration_indptr": list(range(n + 1)),
        "gbtree_model_param": {**forest["gbtree_model_param"], "num_trees": str(n)},
    }
    booster = {**learner["gradient_booster"], "model": replaced}
    changed = {**document, "learner": {**learner, "gradient_booster": booster}}
    return bytes(parse_booster(json.dumps(changed).encode()).save_raw("ubj"))


def _forest(document: Document) -> dict[str, Any]:
    model: dict[str, Any] = document["learner"]["gradient_booster"]["model"]
    return model
