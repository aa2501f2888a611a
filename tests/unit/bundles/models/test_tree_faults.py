import json

import numpy as np
import pytest
import xgboost

from serve_app.bundles.manifest import ModelManifest
from serve_app.bundles.models.loading import load_booster
from serve_app.bundles.models.tree_faults import fault_of_model, fault_of_tree
from serve_app.errors import BundleDamaged
from serve_app.recommending.scoring.model_features import FEATURES, fingerprint
from tests.support.small_bundles import fitted

NAN, INFINITE = float("nan"), float("inf")


def tree(**changes):
    """A node with two leaves; ``changes`` replace single entries of its arrays."""
    whole = {
        "left_children": [1, -1, -1],
        "right_children": [2, -1, -1],
        "split_indices": [0, 0, 0],
        "split_conditions": [0.5, -1.0, 1.0],
        "default_left": [0, 0, 0],
    }
    for name, (position, value) in changes.items():
        whole[name][position] = value
    return whole


def test_a_whole_tree_has_no_fault():
    assert fault_of_tree(tree(), 1) is None


def test_a_threshold_may_be_infinite():
    assert fault_of_tree(tree(split_conditions=(0, INFINITE)), 1) is None


def test_what_pruning_left_behind_is_no_fault():
    pruned = {name: [*values, 7] for name, values in tree().items()}

    assert fault_of_tree(pruned, 1) is None


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"split_indices": (0, 200_000)}, "node 0 reads feature 200000 of 1"),
        ({"split_indices": (0, -1)}, "node 0 reads feature -1 of 1"),
        ({"left_children": (0, 3)}, "node 0 leads to node 3 of 3"),
        ({"right_children": (0, 2**31 - 1)}, "node 0 leads to node 2147483647 of 3"),
        ({"right_children": (0, -1)}, "node 0 has one child"),
        ({"left_children": (1, 2)}, "node 1 has one child"),
        ({"left_children": (0, 0)}, "node 0 leads to a node that another one leads to"),
        ({"left_children": (0, 2)}, "node 0 leads to a node that another one leads to"),
        (
            {"left_children": (1, 0), "right_children": (1, 2)},
            "node 1 leads to a node that another one leads to",
        ),
        ({"split_conditions": (1, NAN)}, "node 1 is a leaf of nan"),
        ({"split_conditions": (2, -INFINITE)}, "node 2 is a leaf of -inf"),
        ({"split_conditions": (0, NAN)}, "node 0 splits at nan"),
    ],
)
def test_names_the_fault_of_a_tree(changes, fault):
    assert fault_of_tree(tree(**changes), 1) == fault


@pytest.mark.parametrize("n_kept", [0, 2])
@pytest.mark.parametrize("name", sorted(tree()))
def test_arrays_of_a_tree_have_one_length(name, n_kept):
    assert "unequal" in fault_of_tree({**tree(), name: tree()[name][:n_kept]}, 1)


def test_a_tree_without_nodes_is_a_fault():
    assert "unequal" in fault_of_tree({name: values[:0] for name, values in tree().items()}, 1)


@pytest.fixture
def model_file(tmp_path):
    folder = tmp_path / "20261101-00000000" / "models"
    folder.mkdir(parents=True)
    return folder / "main.ubj"


MANIFEST = ModelManifest(
    file="models/main.ubj",
    features=FEATURES,
    fingerprint=fingerprint(FEATURES),
    objective="binary:logistic",
    n_trees=5,
    metrics={},
)


def test_a_model_as_xgboost_writes_it_has_no_fault(model_file):
    model_file.write_bytes(fitted("main").booster)

    booster = load_booster(model_file, MANIFEST)

    assert fault_of_model(booster.save_raw("json"), len(FEATURES)) is None


def test_a_model_that_would_end_the_process_is_a_damaged_bundle(model_file):
    booster = xgboost.Booster()
    booster.load_model(bytearray(fitted("main").booster))
    model = json.loads(booster.save_raw("json"))
    trees = model["learner"]["gradient_booster"]["model"]["trees"]
    node = int(np.argmax(np.array(trees[3]["left_children"]) >= 0))
    trees[3]["split_indices"][node] = 200_000
    booster.load_model(bytearray(json.dumps(model).encode()))
    model_file.write_bytes(bytes(booster.save_raw("ubj")))

    with pytest.raises(BundleDamaged, match=r"main\.ubj: tree 3: node 0 reads feature 200000 of"):
        load_booster(model_file, MANIFEST)
