"""Walks through the trees of a model in compiled form, in a tenth of XGBoost's own time.

The installation builds `_trees.c` if there is a C compiler. Without the compiled form, and for
trees that are too deep, XGBoost walks through the trees itself, with equal scores.
"""

import ctypes
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_DEPTH = 6
"""Deepest trees of the compiled form, which evaluates every node for every row: the time doubles
with each level. `_trees.c` reserves memory for this depth."""

_OBJECTIVES = ("binary:logistic", "rank:ndcg", "rank:pairwise")
"""Objectives whose common start ``_base`` knows how to convert."""


@dataclass(frozen=True, slots=True)
class Trees:
    """Complete trees of one depth. The children of node i are 2 i + 1 and 2 i + 2.

    A leaf above that depth is repeated in all positions below it.

    Attributes:
        features: shape (n_trees, n_nodes), int32, the column that a node reads.
        thresholds: shape (n_trees, n_nodes), float32; smaller values go left.
        missing_left: shape (n_trees, n_nodes), uint8, 1 if missing numbers also go left.
        leaves: shape (n_trees, n_nodes + 1), float32.
        base: the sum that every row starts with.
    """

    features: NDArray[np.int32]
    thresholds: NDArray[np.float32]
    missing_left: NDArray[np.uint8]
    leaves: NDArray[np.float32]
    base: np.float32


def is_compiled() -> bool:
    """Tells whether the installation of this package built `_trees.c`."""
    return _ADD_TREES is not None


def trees_of(model: bytes | bytearray) -> Trees | None:
    """Compiles the trees of a model from XGBoost's JSON form.

    ``None`` if only XGBoost can walk them: no compiled code, trees deeper than ``MAX_DEPTH``, or an
    objective other than binary:logistic, rank:ndcg and rank:pairwise.
    """
    if not is_compiled():
        return None
    learner = json.loads(model)["learner"]
    grown = learner["gradient_booster"]["model"]["trees"]
    objective = learner["objective"]["name"]
    # At least one level: a tree of a single leaf becomes a node with two equal leaves.
    depth = max([1, *map(_depth, grown)])
    if objective not in _OBJECTIVES or depth > MAX_DEPTH:
        return None
    n_nodes = 2**depth - 1
    # float32, as XGBoost keeps thresholds and leaves: any other precision changes some scores.
    trees = Trees(
        np.zeros((len(grown), n_nodes), np.int32),
        np.zeros((len(grown), n_nodes), np.float32),
        np.zeros((len(grown), n_nodes), np.uint8),
        np.zeros((len(grown), n_nodes + 1), np.float32),
        _base(learner, objective),
    )
    for number, tree in enumerate(grown):
        _lay_out(trees, number, tree, 0, 0)
    return trees


def scores_of(trees: Trees, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums of the leaves, shape (n,), added up in XGBoost's order and precision.

    The matrix has shape (n, f), float32; contiguous columns are fastest.
    """
    assert _ADD_TREES is not None, "there are trees only where it was compiled"
    # The function reads raw memory column by column. The array lives until the call returns.
    columns = np.ascontiguousarray(matrix.T)
    # The function adds to the margins in position, tree by tree.
    margins = np.full(len(matrix), trees.base, np.float32)
    _ADD_TREES(
        columns.ctypes.data,
        len(matrix),
        trees.features.ctypes.data,
        trees.thresholds.ctypes.data,
        trees.missing_left.ctypes.data,
        trees.leaves.ctypes.data,
        *trees.features.shape,
        margins.ctypes.data,
    )
    return margins


def _load_compiled() -> Any:
    """The function of `_trees.c`, or None."""
    spec = find_spec("serve_app.recommending.scoring._trees")
    if spec is None or spec.origin is None:
        return None
    # Loaded as a plain library: ``CDLL`` releases Python's lock during a call.
    function = ctypes.CDLL(spec.origin).add_trees
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    function.argtypes = [pointer, number, *(pointer,) * 4, number, number, pointer]
    function.restype = None
    return function


_ADD_TREES = _load_compiled()


def _depth(tree: Mapping[str, Any], node: int = 0) -> int:
    """Number of levels below a node."""
    left, right = tree["left_children"][node], tree["right_children"][node]
    return 0 if left < 0 else 1 + max(_depth(tree, left), _depth(tree, right))


def _base(learner: Mapping[str, Any], objective: str) -> np.float32:
    """The common start as a margin; XGBoost keeps it on the scale of the objective."""
    # Newer versions of XGBoost write a list, "[0.5]".
    score = np.float32(learner["learner_model_param"]["base_score"].strip("[]"))
    one = np.float32(1)
    # In float32, as XGBoost computes the logit: the scores agree to the last bit.
    return -np.log(one / score - one) if objective == "binary:logistic" else score


def _lay_out(trees: Trees, number: int, tree: Mapping[str, Any], node: int, position: int) -> None:
    """Writes a node, and all nodes below it, to its position in the complete tree."""
    n_nodes = trees.features.shape[1]
    left, right = tree["left_children"][node], tree["right_children"][node]
    if position >= n_nodes:
        trees.leaves[number, position - n_nodes] = tree["split_conditions"][node]
        return
    if left >= 0:
        trees.features[number, position] = tree["split_indices"][node]
        trees.thresholds[number, position] = tree["split_conditions"][node]
        trees.missing_left[number, position] = tree["default_left"][node]
    else:
        # A leaf goes on as both its children. The node keeps feature 0, and its result is equal.
        left = right = node
    _lay_out(trees, number, tree, left, 2 * position + 1)
    _lay_out(trees, number, tree, right, 2 * position + 2)
