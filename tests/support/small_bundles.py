"""Gives tests bundles of the small world, with small trained models, and ways to damage them."""

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from serve_app.arrays.units import DAY_S
from serve_app.bundles.manifest import Manifest
from serve_app.bundles.publishing import BundleContents, FittedModel, publish
from serve_app.bundles.roots import BundleLocation
from serve_app.recommending.scoring.model_features import FEATURES
from tests.support.small_world import AT, small_world

OBJECTIVES = {"main": "binary:logistic", "challenger": "rank:ndcg"}


@cache
def fitted(variant: str, n_trees: int = 5) -> FittedModel:
    """A model of chance: what it says differs from item to item, and from variant to variant."""
    rng = np.random.default_rng(len(variant))
    matrix = rng.random((300, len(FEATURES)), dtype=np.float32)
    labels = ((matrix - 0.5) @ rng.normal(size=len(FEATURES)) > 0).astype(int)
    examples = xgboost.DMatrix(matrix, labels, qid=np.zeros(len(labels), int))
    settings = {"objective": OBJECTIVES[variant], "max_depth": 3, "nthread": 1}
    booster = xgboost.train(settings, examples, n_trees)
    return FittedModel(FEATURES, OBJECTIVES[variant], bytes(booster.save_raw("ubj")), n_trees, {})


def contents_of(
    n_trees: int = 5, variants: tuple[str, ...] = tuple(OBJECTIVES), n_spare_rows: int = 0
) -> BundleContents:
    """The small world; other trees make another version."""
    world = small_world(n_spare_rows=n_spare_rows)
    models = {variant: fitted(variant, n_trees) for variant in variants}
    return BundleContents(
        world.fitted,
        models,
        until_at=AT,
        horizon_s=30 * DAY_S,
        metrics={},
        measured_from_at=AT - 30 * DAY_S,
        n_interactions=len(world.fitted.archive.events),
    )


def publish_world(root: Path, n_trees: int = 5, variants: tuple[str, ...] = tuple(OBJECTIVES)):
    """Publishes the small world as the current bundle."""
    return publish(str(root), contents_of(n_trees, variants), created_at=AT)


def location_of(root: Path) -> BundleLocation:
    return BundleLocation(str(root), root.parent / "bundle-copies", tuple(OBJECTIVES))


def rewrite_manifest(root: Path, version: str, change: Callable[[Any], object]) -> None:
    """Changes the manifest of a version into one that another build could have written."""
    file = root / version / "manifest.json"
    times = file.stat()
    said = json.loads(file.read_text())
    change(said)
    file.write_text(json.dumps(said))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def of_another_format(root: Path, version: str) -> None:
    rewrite_manifest(root, version, lambda said: said.update(format=1))


def of_other_features(root: Path, version: str, variant: str) -> None:
    rewrite_manifest(
        root, version, lambda said: said["models"][variant].update(fingerprint="another")
    )


def damage(root: Path, manifest: Manifest) -> None:
    """Cuts off the end of a file, as an interrupted copy does."""
    file = root / manifest.version / "tables" / "popular_rows.npy"
    file.write_bytes(file.read_bytes()[:-8])
