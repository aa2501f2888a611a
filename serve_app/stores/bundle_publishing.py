"""Writes bundles: all or nothing, named after what they hold."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from serve_app.domain.catalogue import Catalogue
from serve_app.domain.features import fingerprint
from serve_app.domain.interactions import HistoryArchive
from serve_app.domain.manifest import FileManifest, Manifest, ModelManifest
from serve_app.domain.tables import CandidateTables
from serve_app.errors import BundleMissing
from serve_app.stores.bundle_arrays import column_kinds, flatten
from serve_app.stores.bundle_manifest import content_hash, describe_files
from serve_app.stores.bundle_roots import BundleRoot, bundle_root


@dataclass(frozen=True, slots=True)
class FittedModel:
    """
    Attributes:
        features: names, in the order of the matrix that it was fitted on.
        objective: XGBoost's name of what was optimised.
        booster: XGBoost's own binary form (UBJSON).
        n_trees: trees in the model.
        metrics: measured on the evaluation window, by name.
    """

    features: tuple[str, ...]
    objective: str
    booster: bytes
    n_trees: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class BundleContents:
    """
    Attributes:
        catalogue: its ``version`` is not stored: it becomes the bundle's.
        archive: users in the order of the tables' baskets.
        models: by variant.
        until_at: time of the last interaction that went in, epoch seconds.
        horizon_s: length of the window that the labels come from.
        metrics: measured on the evaluation window, by list compared.
    """

    catalogue: Catalogue
    tables: CandidateTables
    archive: HistoryArchive
    models: Mapping[str, FittedModel]
    until_at: float
    horizon_s: float
    metrics: Mapping[str, Mapping[str, float]]


def publish(root: str, contents: BundleContents, *, created_at: float, n_kept: int = 5) -> Manifest:
    """
    Writes a version and makes it the current one; both happen in one step or not at all.

    The version's name is made of its contents, so publishing the same again changes nothing. Older
    versions beyond the newest ``n_kept`` are deleted.

    Args:
        root: local folder, or URI of an object store.
        created_at: epoch seconds.
    """
    place = bundle_root(root)
    with place.workspace() as folder:
        _write(folder, contents)
        manifest = _manifest(describe_files(folder), contents, created_at)
        if not place.holds(manifest):
            place.put(folder, manifest)
        place.write_current(manifest.version)
        _prune(place, n_kept)
    return manifest


def promote(root: str, version: str) -> None:
    """
    Makes a version that is there the current one; rolling back is promoting an older one.

    Raises:
        BundleMissing: no such version.
    """
    place = bundle_root(root)
    if version not in place.versions():
        raise BundleMissing(root, version)
    place.write_current(version)


def _write(folder: Path, contents: BundleContents) -> None:
    parts = {
        "catalogue": contents.catalogue,
        "tables": contents.tables,
        "histories": contents.archive,
    }
    for part, record in parts.items():
        (folder / part).mkdir()
        for name, array in flatten(record).items():
            np.save(folder / part / f"{name}.npy", array, allow_pickle=False)
    (folder / "models").mkdir()
    for variant, model in contents.models.items():
        (folder / _model_file(variant)).write_bytes(model.booster)


def _manifest(
    files: Mapping[str, FileManifest], contents: BundleContents, created_at: float
) -> Manifest:
    catalogue, archive = contents.catalogue, contents.archive
    day = datetime.fromtimestamp(contents.until_at, UTC).strftime("%Y%m%d")
    return Manifest(
        version=f"{day}-{content_hash(files, _said_of(contents))}",
        created_at=created_at,
        until_at=contents.until_at,
        horizon_s=contents.horizon_s,
        n_users=len(archive.offsets) - 1,
        n_items=int(catalogue.listed.sum()),
        n_interactions=len(archive.events),
        files=files,
        columns=column_kinds(catalogue.columns),
        models={
            variant: ModelManifest(
                file=_model_file(variant),
                features=model.features,
                fingerprint=fingerprint(model.features),
                objective=model.objective,
                n_trees=model.n_trees,
                metrics=model.metrics,
            )
            for variant, model in contents.models.items()
        },
        metrics=contents.metrics,
    )


def _said_of(contents: BundleContents) -> Iterator[str]:
    """What makes two bundles with equal files different ones."""
    yield from (f"{name} {kind}" for name, kind in column_kinds(contents.catalogue.columns).items())
    for variant, model in sorted(contents.models.items()):
        yield f"{variant} {model.objective} {fingerprint(model.features)}"


def _model_file(variant: str) -> str:
    return f"models/{variant}.ubj"


def _prune(place: BundleRoot, n_kept: int) -> None:
    current = place.read_current()
    for version in place.versions()[:-n_kept]:
        if version != current:
            place.remove(version)
