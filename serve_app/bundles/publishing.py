"""Writes bundles: all or nothing, named after what they hold."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from serve_app.bundles.array_files import column_kinds, flatten
from serve_app.bundles.manifest import FileManifest, Manifest, ModelManifest
from serve_app.bundles.manifest_files import content_hash, describe_files
from serve_app.bundles.promotions import promote_at, rollback_target_at
from serve_app.bundles.roots import BundleRoot, bundle_root, read_current
from serve_app.bundles.version_reports import remove_orphans, report_name
from serve_app.domain.fitted import Fitted
from serve_app.domain.scoring.model_features import fingerprint

MODELS, HELD_OUT = "models", "held_out"


@dataclass(frozen=True, slots=True)
class FittedModel:
    """
    Attributes:
        features: names, in the order of the matrix that it was fitted on.
        objective: XGBoost's names of what was optimised, with " + " between them.
        booster: XGBoost's own binary form (UBJSON).
        n_trees: trees in the model.
        metrics: measured on the evaluation window, by name.
        held_out: the model that was measured, which has not learnt from the evaluation window, in
            the same form; None when it is not kept.
    """

    features: tuple[str, ...]
    objective: str
    booster: bytes
    n_trees: int
    metrics: Mapping[str, float]
    held_out: bytes | None = None


@dataclass(frozen=True, slots=True)
class BundleContents:
    """
    Attributes:
        fitted: the ``version`` of its catalogue is not stored: it becomes the bundle's.
        models: by variant.
        until_at: time of the last interaction that went in, epoch seconds.
        horizon_s: length of the window that the labels come from.
        metrics: measured on the evaluation window, by list compared.
        measured_from_at: beginning of that window, epoch seconds; None where it is the window that
            the labels come from, the last ``horizon_s`` before ``until_at``.
        n_interactions: that the fit knows; None where these are the events of the archive.
    """

    fitted: Fitted
    models: Mapping[str, FittedModel]
    until_at: float
    horizon_s: float
    metrics: Mapping[str, Mapping[str, float]]
    measured_from_at: float | None = None
    n_interactions: int | None = None


def publish(
    root: str,
    contents: BundleContents,
    *,
    created_at: float,
    n_kept: int = 5,
    promote: bool = True,
    report: Path | None = None,
) -> Manifest:
    """
    Writes a version, in one step or not at all, and makes it current when it is to be served.

    The version's name is made of its contents, so publishing the same again changes nothing but its
    report. Older versions beyond the newest ``n_kept`` are deleted, except the current one, the one
    that a rollback would lead to, and the one just published.

    Args:
        root: local folder, or URI of an object store.
        created_at: epoch seconds.
        promote: whether it is to be served; else it is kept, and can be promoted later.
        report: folder with what the fit found, which is copied; None leaves what is there.

    Raises:
        SettingsInvalid: nothing can be written there, or the history of promotions cannot be read;
            then the version is kept, and nothing else is changed.
        BundleDamaged: ``current`` names no version, and this one is not promoted.
        StoreUnavailable: the object store did not answer.
    """
    place = bundle_root(root)
    with place.workspace() as folder:
        _write(folder, contents)
        manifest = _manifest(describe_files(folder), contents, created_at)
        if report is not None:
            # Before the version: one that was kept back is never seen without its verdict.
            place.put_folder(report, report_name(manifest.version))
        if not place.holds(manifest):
            place.put(folder, manifest)
        if promote:
            promote_at(place, manifest.version, created_at, "fit")
        _prune(place, manifest.version, n_kept)
    return manifest


def _write(folder: Path, contents: BundleContents) -> None:
    parts = {
        "catalogue": contents.fitted.catalogue,
        "tables": contents.fitted.tables,
        "histories": contents.fitted.archive,
    }
    for part, record in parts.items():
        (folder / part).mkdir()
        for name, array in flatten(record).items():
            np.save(folder / part / f"{name}.npy", array, allow_pickle=False)
    for subfolder in (MODELS, HELD_OUT):
        (folder / subfolder).mkdir()
    for variant, model in contents.models.items():
        (folder / _booster_file(MODELS, variant)).write_bytes(model.booster)
        if model.held_out is not None:
            (folder / _booster_file(HELD_OUT, variant)).write_bytes(model.held_out)


def _manifest(
    files: Mapping[str, FileManifest], contents: BundleContents, created_at: float
) -> Manifest:
    catalogue, archive = contents.fitted.catalogue, contents.fitted.archive
    day = datetime.fromtimestamp(contents.until_at, UTC).strftime("%Y%m%d")
    return Manifest(
        version=f"{day}-{content_hash(files, _said_of(contents))}",
        created_at=created_at,
        until_at=contents.until_at,
        horizon_s=contents.horizon_s,
        measured_from_at=(
            contents.until_at - contents.horizon_s
            if contents.measured_from_at is None
            else contents.measured_from_at
        ),
        n_users=len(archive.offsets) - 1,
        n_items=int(catalogue.listed.sum()),
        n_interactions=(
            len(archive.events) if contents.n_interactions is None else contents.n_interactions
        ),
        files=files,
        columns=column_kinds(catalogue.columns),
        models={
            variant: _model_manifest(variant, model) for variant, model in contents.models.items()
        },
        metrics=contents.metrics,
    )


def _model_manifest(variant: str, model: FittedModel) -> ModelManifest:
    return ModelManifest(
        file=_booster_file(MODELS, variant),
        features=model.features,
        fingerprint=fingerprint(model.features),
        objective=model.objective,
        n_trees=model.n_trees,
        metrics=model.metrics,
        held_out=None if model.held_out is None else _booster_file(HELD_OUT, variant),
    )


def _said_of(contents: BundleContents) -> Iterator[str]:
    """What makes two bundles with equal files different ones."""
    yield from (
        f"{name} {kind}" for name, kind in column_kinds(contents.fitted.catalogue.columns).items()
    )
    for variant, model in sorted(contents.models.items()):
        yield f"{variant} {model.objective} {fingerprint(model.features)}"


def _booster_file(subfolder: str, variant: str) -> str:
    return f"{subfolder}/{variant}.ubj"


def _prune(place: BundleRoot, published: str, n_kept: int) -> None:
    needed = {published, read_current(place), rollback_target_at(place)}
    for version in place.versions()[:-n_kept]:
        if version not in needed:
            place.remove(version)
    remove_orphans(place)
