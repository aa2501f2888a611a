"""Loads the models of a bundle, or the order that is served instead of them."""

from pathlib import Path

import numpy as np
import xgboost
from numpy.typing import NDArray

from serve_app.bundles.bundle import Bundle
from serve_app.bundles.manifest import ModelManifest
from serve_app.bundles.models.tree_faults import fault_of_model
from serve_app.errors import BundleDamaged, FingerprintMismatch, ModelsUnusable
from serve_app.recommending.scoring.boosters import VariantModel, scoring_of
from serve_app.recommending.scoring.model_features import fingerprint


def load_model(bundle: Bundle, variant: str) -> VariantModel:
    """The model of a variant, ready to score; popularity for a bundle that is ordered by it.

    Raises:
        ModelsUnusable: the bundle was fitted without this variant.
        FingerprintMismatch, BundleDamaged: as ``load_booster``.
    """
    manifest = bundle.manifest.models.get(variant)
    if manifest is None:
        raise ModelsUnusable(bundle.manifest.version, variant)
    if bundle.manifest.order == "popularity":
        return VariantModel(_only_feature, ("item.popularity",), bundle.fitted.catalogue)
    booster = load_booster(bundle.model_path(variant), manifest)
    return VariantModel(scoring_of(booster), manifest.features, bundle.fitted.catalogue)


def _only_feature(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    return matrix[:, 0]


def load_booster(path: Path, model: ModelManifest) -> xgboost.Booster:
    """Loads ``<bundle>/models/<variant>.ubj``, which ``model`` describes.

    Raises:
        FingerprintMismatch: this build assembles the model's features differently.
        BundleDamaged: the file holds no model, one of another number of features, or trees that
            cannot be walked through.
    """
    if fingerprint(model.features) != model.fingerprint:
        raise FingerprintMismatch(path.stem, fingerprint(model.features), model.fingerprint)
    version = path.parents[1].name
    # One thread: a replica has one CPU, and serving scores small batches.
    booster = xgboost.Booster({"nthread": 1})
    try:
        booster.load_model(path)
    except xgboost.core.XGBoostError as error:
        raise BundleDamaged(version, f"{path.name} holds no model") from error
    # XGBoost itself would not complain before the first prediction.
    if booster.num_features() != len(model.features):
        numbers = f"{booster.num_features()} features, the manifest names {len(model.features)}"
        raise BundleDamaged(version, f"{path.name} takes {numbers}")
    if fault := fault_of_model(booster.save_raw("json"), len(model.features)):
        raise BundleDamaged(version, f"{path.name}: {fault}")
    return booster
