"""Builds boosters that rise with one number of a candidate, for scores that nobody has to learn.

Bundles and serving then know one kind of model.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
import xgboost

from serve_app.fitting.training.booster_documents import Tree, booster_of, document_of

N_STEPS = 126
"""Steps in which a booster rises; candidates within a step are equal."""

_PER_TREE = 3
"""Steps of a tree. Two levels of nodes hold them, and every level costs time of each request."""

N_TREES = N_STEPS // _PER_TREE

Node: TypeAlias = float | tuple[int, float, "Node", "Node"]
"""A leaf's value, or: column, threshold, the node for smaller numbers, the node for the others."""


class Rise(NamedTuple):
    """
    Attributes:
        column: of the number, among the columns of the model.
        low, high: the rise ends outside of these.
        slope: rise of the margin for each unit of the number.
        centre: where the margin is 0.
    """

    column: int
    low: float
    high: float
    slope: float
    centre: float


class Gate(NamedTuple):
    """Candidates whose number in ``column`` is not ``below`` get a margin of 0."""

    column: int
    below: float


def rising_booster(rise: Rise, n_columns: int, gate: Gate | None = None) -> bytes:
    """A booster in XGBoost's binary form (UBJSON), with the binary objective.

    A missing number is as small as any.
    """
    trees = (_guard(tree, gate) for tree in _rising(rise))
    empty = document_of(_empty_booster(n_columns))
    return booster_of(empty, [_describe(tree, n_columns) for tree in trees])


def _empty_booster(n_columns: int) -> bytes:
    rows = xgboost.QuantileDMatrix(np.zeros((1, n_columns), np.float32), np.zeros(1))
    settings = {"objective": "binary:logistic", "base_score": 0.5, "nthread": 1}
    return bytes(xgboost.train(settings, rows, num_boost_round=0).save_raw("ubj"))


def _rising(rise: Rise) -> Iterator[Node]:
    """Trees whose sum rises; each has ``_PER_TREE`` neighbouring steps."""
    column, low, high, slope, centre = rise
    thresholds = low + (high - low) * (np.arange(N_STEPS) + 0.5) / N_STEPS
    step = slope * (high - low) / N_STEPS
    # The trees share the margin below all thresholds.
    least = slope * (low - centre) * _PER_TREE / N_STEPS
    for first, second, third in thresholds.reshape(-1, _PER_TREE).tolist():
        left = (column, first, least, least + step)
        right = (column, third, least + 2 * step, least + 3 * step)
        yield (column, second, left, right)


def _guard(tree: Node, gate: Gate | None) -> Node:
    return tree if gate is None else (gate.column, gate.below, tree, 0.0)


def _describe(tree: Node, n_columns: int) -> Tree:
    """A tree in XGBoost's JSON form, which has one list for each attribute of the nodes."""
    laid = [list(values) for values in zip(*_lay(tree), strict=True)]
    n = len(laid[0])
    size = {"num_deleted": 0, "num_feature": n_columns, "num_nodes": n, "size_leaf_vector": 1}
    return {
        **dict(zip(_LAID, laid, strict=True)),
        "default_left": [1] * n,
        "split_type": [0] * n,
        **{name: [0.0] * n for name in ("base_weights", "loss_changes", "sum_hessian")},
        **{f"categories{kind}": [] for kind in ("", "_nodes", "_segments", "_sizes")},
        "tree_param": {name: str(value) for name, value in size.items()},
    }


# XGBoost stores the value of a leaf where an inner node has its threshold.
_LAID = ("parents", "left_children", "right_children", "split_indices", "split_conditions")

_NO_PARENT = 2**31 - 1


def _lay(root: Node) -> Iterator[tuple[int, int, int, int, float]]:
    """Yields the ``_LAID`` of every node, level by level.

    XGBoost finds the right child of a node behind the left one, whatever the document says.
    """
    queue = [(root, _NO_PARENT)]
    # The queue grows while it is read; the number of a node is its place there.
    for number, (node, parent) in enumerate(queue):
        if isinstance(node, float):
            yield parent, -1, -1, 0, node
            continue
        column, threshold, left, right = node
        yield parent, len(queue), len(queue) + 1, column, threshold
        queue += [(left, number), (right, number)]
