"""The walk through a model's trees in compiled form: a tenth of XGBoost's own time.

`_trees.c` is built at installation where there is a C compiler; where there is none, and for trees
that are too deep, XGBoost walks by itself, and says the same.
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
"""Every node is asked for every row, so the time doubles with each level."""

_OBJECTIVES = ("binary:logistic", "rank:ndcg", "rank:pairwise")


@dataclass(frozen=True, slots=True)
class Trees:
    """Complete trees of one depth; the children of node i are 2 i + 1 and 2 i + 2, and where a tree
    ends above that depth, the leaf is repeated.

    Attributes:
        features: shape (n_trees, n_nodes), int32, the column that a node looks at.
        thresholds: the same shape, float32; what is below goes left.
        missing_left: the same shape, uint8, whether a missing number goes left, too.
        leaves: shape (n_trees, n_nodes + 1), float32.
        base: what every row starts with.
    """

    features: NDArray[np.int32]
    thresholds: NDArray[np.float32]
    missing_left: NDArray[np.uint8]
    leaves: NDArray[np.float32]
    base: np.float32


def is_compiled() -> bool:
    """Whether `_trees.c` was built when this package was installed."""
    return _ADD_TREES is not None


def trees_of(model: bytes | bytearray) -> Trees | None:
    """None where only XGBoost itself can walk: no compiled form, trees too deep, another objective.

    Args:
        model: in XGBoost's JSON form.
    """
    if not is_compiled():
        return None
    learner = json.loads(model)["learner"]
    grown = learner["gradient_booster"]["model"]["trees"]
    objective = learner["objective"]["name"]
    depth = max([1, *map(_depth, grown)])
    if objective not in _OBJECTIVES or depth > MAX_DEPTH:
        return None
    n_nodes = 2**depth - 1
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
    """Scores of rows, shape (n,): what the leaves say, added up in XGBoost's order and precision.

    Args:
        matrix: shape (n, f); fastest where columns are contiguous.
    """
    assert _ADD_TREES is not None, "there are trees only where it was compiled"
    columns = np.ascontiguousarray(matrix.T)
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


def _compiled() -> Any:
    """The function of `_trees.c`; it runs without Python's lock."""
    found = find_spec("serve_app.domain.scoring._trees")
    if found is None or found.origin is None:
        return None
    function = ctypes.CDLL(found.origin).add_trees
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    function.argtypes = [pointer, number, *(pointer,) * 4, number, number, pointer]
    function.restype = None
    return function


_ADD_TREES = _compiled()


def _depth(tree: Mapping[str, Any], node: int = 0) -> int:
    """Of what is below a node."""
    left, right = tree["left_children"][node], tree["right_children"][node]
    return 0 if left < 0 else 1 + max(_depth(tree, left), _depth(tree, right))


def _base(learner: Mapping[str, Any], objective: str) -> np.float32:
    """The common start, which XGBoost keeps on the scale of the objective."""
    score = np.float32(learner["learner_model_param"]["base_score"].strip("[]"))
    one = np.float32(1)
    return -np.log(one / score - one) if objective == "binary:logistic" else score


def _lay_out(trees: Trees, number: int, tree: Mapping[str, Any], node: int, place: int) -> None:
    """Writes a node, and all below it, to its place in the complete tree."""
    n_nodes = trees.features.shape[1]
    left, right = tree["left_children"][node], tree["right_children"][node]
    if place >= n_nodes:
        trees.leaves[number, place - n_nodes] = tree["split_conditions"][node]
        return
    if left >= 0:
        trees.features[number, place] = tree["split_indices"][node]
        trees.thresholds[number, place] = tree["split_conditions"][node]
        trees.missing_left[number, place] = tree["default_left"][node]
    else:
        left = right = node
    _lay_out(trees, number, tree, left, 2 * place + 1)
    _lay_out(trees, number, tree, right, 2 * place + 2)
