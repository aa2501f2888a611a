"""Finds faults in the trees of a model, before anything walks through them.

XGBoost and the compiled form follow the numbers in a file without a check: a wrong one reads memory
that is not theirs, and the process ends.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any


def fault_of_model(model: bytes | bytearray, n_features: int) -> str | None:
    """Says what is wrong with the trees of a model in XGBoost's JSON form; ``None`` if nothing is.

    Args:
        n_features: columns of the matrix that the trees will read.
    """
    for number, tree in enumerate(_trees(json.loads(model))):
        if fault := fault_of_tree(tree, n_features):
            return f"tree {number}: {fault}"
    return None


def fault_of_tree(tree: Mapping[str, Any], n_features: int) -> str | None:
    """Says what is wrong with one tree."""
    lefts, rights = tree["left_children"], tree["right_children"]
    splits, values = tree["split_indices"], tree["split_conditions"]
    n_nodes = len(lefts)
    if not n_nodes or {len(rights), len(splits), len(values), len(tree["default_left"])} != {
        n_nodes
    }:
        return "its arrays have unequal lengths"
    # From the root, as a walk goes: XGBoost leaves nodes that pruning removed in the arrays.
    seen, waiting = {0}, [0]
    while waiting:
        node = waiting.pop()
        children = (lefts[node], rights[node])
        if fault := _fault_of_node(children, splits[node], values[node], n_nodes, n_features):
            return f"node {node} {fault}"
        if children[0] >= 0:
            if not seen.isdisjoint(children) or children[0] == children[1]:
                return f"node {node} leads to a node that another one leads to"
            seen.update(children)
            waiting.extend(children)
    return None


def _fault_of_node(
    children: tuple[int, int], feature: int, value: float, n_nodes: int, n_features: int
) -> str | None:
    if (children[0] < 0) != (children[1] < 0):
        return "has one child"
    if children[0] < 0:
        return None if math.isfinite(value) else f"is a leaf of {value}"
    if max(children) >= n_nodes:
        return f"leads to node {max(children)} of {n_nodes}"
    if not 0 <= feature < n_features:
        return f"reads feature {feature} of {n_features}"
    return f"splits at {value}" if math.isnan(value) else None


def _trees(model: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    trees: Sequence[Mapping[str, Any]] = model["learner"]["gradient_booster"]["model"]["trees"]
    return trees
