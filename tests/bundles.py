"""Bundles of the small world, with small trained models, for tests of what serves them."""

from functools import cache
from pathlib import Path

import numpy as np
import xgboost

from serve_app.domain.features import FEATURES
from serve_app.domain.manifest import Manifest
from serve_app.stores.bundle_publishing import BundleContents, FittedModel, publish
from serve_app.stores.bundle_shelf import BundleLocation
from tests.worlds import AT, small_world

DAY_S = 86_400.0
OBJECTIVES = {"main": "binary:logistic", "challenger": "rank:ndcg"}


@cache
def fitted(variant: str, n_trees: int = 5) -> FittedModel:
    """A model of chance: what it says differs from item to item, and from variant to variant."""
    rng = np.random.default_rng(len(variant))
    matrix = rng.random((300, len(FEATURES)), dtype=np.float32)
    labels = (matrix @ rng.normal(size=len(FEATURES)) > 0).astype(int)
    examples = xgboost.DMatrix(matrix, labels, qid=np.zeros(len(labels), int))
    settings = {"objective": OBJECTIVES[variant], "max_depth": 3, "nthread": 1}
    booster = xgboost.train(settings, examples, n_trees)
    return FittedModel(FEATURES, OBJECTIVES[variant], bytes(booster.save_raw("ubj")), n_trees, {})


def publish_world(root: Path, n_trees: int = 5, variants: tuple[str, ...] = tuple(OBJECTIVES)):
    """Publishes the small world as the current bundle; other trees make another version."""
    world = small_world()
    models = {variant: fitted(variant, n_trees) for variant in variants}
    contents = BundleContents(
        world.catalogue, world.tables, world.archive, models, AT, 30 * DAY_S, {}
    )
    return publish(str(root), contents, created_at=AT)


def location_of(root: Path) -> BundleLocation:
    return BundleLocation(str(root), root.parent / "bundle-copies")


def damage(root: Path, manifest: Manifest) -> None:
    """Cuts off the end of a file, as a copy does that was broken off."""
    file = root / manifest.version / "tables" / "popular_rows.npy"
    file.write_bytes(file.read_bytes()[:-8])
