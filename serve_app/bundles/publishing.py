"""Publishes bundles, each in one step and named after its contents."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from serve_app.arrays.units import DAY_S
from serve_app.bundles.array_files import column_kinds, flatten
from serve_app.bundles.manifest import (
    FileManifest,
    Manifest,
    ModelManifest,
    Order,
    content_hash,
    describe_files,
)
from serve_app.bundles.promotions import current_if_any, promote_at, rollback_target_at
from serve_app.bundles.roots import BundleRoot, open_root, read_current
from serve_app.bundles.version_reports import REPORT_FILE, remove_orphans, report_name
from serve_app.domain.fitted import Fitted
from serve_app.recommending.scoring.model_features import fingerprint

UNFINISHED_S = DAY_S
"""Seconds without a new file after which a version without a manifest belongs to a dead fit."""

MODELS, HELD_OUT = "models", "held_out"


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A fitted model of a variant, as bytes.

    Attributes:
        features: names, in the order of the matrix that it was fitted on.
        objective: XGBoost's names of the objectives, joined by " + ".
        booster: the model in XGBoost's own binary form (UBJSON).
        metrics: measured on the evaluation window, by name.
        held_out: the model that was measured, which has not learnt from the evaluation window, in
            UBJSON too; ``None`` when it is not kept.
    """

    features: tuple[str, ...]
    objective: str
    booster: bytes
    n_trees: int
    metrics: Mapping[str, float]
    held_out: bytes | None = None


@dataclass(frozen=True, slots=True)
class BundleContents:
    """Everything that a version is published from.

    Attributes:
        fitted: the arrays; the ``version`` of the catalogue is replaced by the bundle's.
        models: by variant.
        until_at: time of the last interaction that was fitted on, epoch seconds.
        horizon_s: length of the window that the labels come from.
        metrics: measured on the evaluation window, by list compared.
        measured_from_at: beginning of the evaluation window, epoch seconds.
        n_interactions: includes the interactions that the archive leaves out.
        shop_id: identity of the database that was fitted on; empty where there is none.
        order: orders the lists.
        rating_scale: top of the scale of the ratings.
        revision: of the shop; all changes up to it are in the arrays.
    """

    fitted: Fitted
    models: Mapping[str, FittedModel]
    until_at: float
    horizon_s: float
    metrics: Mapping[str, Mapping[str, float]]
    measured_from_at: float
    n_interactions: int
    shop_id: str = ""
    order: Order = "model"
    rating_scale: float = 5.0
    revision: int = 0


def publish(
    root: str,
    contents: BundleContents,
    *,
    created_at: float,
    n_kept: int = 5,
    promote: bool = True,
    report: Path | None = None,
) -> Manifest:
    """Publishes a version in one step, and makes it current if it is to be served.

    A version is named after its contents: publishing equal contents again replaces only the report.
    The report of the served version stays, because a fit can only compare it with itself.
    Versions beyond the newest ``n_kept`` are deleted, except the current one, the target of a
    rollback, and the one just published.

    Args:
        root: local folder, or URI of an object store.
        created_at: epoch seconds.
        promote: serve the version; otherwise it is kept, and can be promoted later.
        report: folder of the fit's report, which is copied; ``None`` keeps the present report.

    Raises:
        SettingsInvalid: nothing can be written there; or the log of promotions cannot be read, and
            then the version is kept, but not promoted.
        BundleDamaged: ``current`` names no version, and this one is not promoted.
        StoreUnavailable: the object store did not answer.
    """
    opened = open_root(root)
    with opened.workspace() as folder:
        _write(folder, contents)
        manifest = _manifest(describe_files(folder), contents, created_at)
        if report is not None and not _is_reported(opened, manifest):
            # Before the version: a version that was kept back always has its verdict.
            opened.copy_folder(report, report_name(manifest.version))
        if not opened.holds(manifest):
            opened.add_version(folder, manifest)
        if promote:
            promote_at(opened, manifest.version, created_at, "fit")
        # Last: pruning spares the current version and the target of a rollback as they are now.
        _prune(opened, manifest.version, n_kept)
        # After the versions: a process that dies in between leaves reports, never lost verdicts.
        remove_orphans(opened, created_at - UNFINISHED_S)
        opened.remove_unfinished(created_at - UNFINISHED_S)
    return manifest


def _is_reported(root: BundleRoot, manifest: Manifest) -> bool:
    """True if this version is served already, with a report."""
    if current_if_any(root) != manifest.version or not root.holds(manifest):
        return False
    return root.read(f"{report_name(manifest.version)}/{REPORT_FILE}") is not None


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
        version=f"{day}-{content_hash(files, _lines_beside_files(contents))}",
        shop_id=contents.shop_id,
        created_at=created_at,
        until_at=contents.until_at,
        horizon_s=contents.horizon_s,
        measured_from_at=contents.measured_from_at,
        n_users=len(archive.offsets) - 1,
        n_items=int(catalogue.listed.sum()),
        n_interactions=contents.n_interactions,
        files=files,
        columns=column_kinds(catalogue.columns),
        models={name: _model_manifest(name, model) for name, model in contents.models.items()},
        metrics=contents.metrics,
        order=contents.order,
        rating_scale=contents.rating_scale,
        revision=contents.revision,
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


def _lines_beside_files(contents: BundleContents) -> Iterator[str]:
    # Lines for all that the files do not show. Columns are files with numbers for names.
    for name, kind in column_kinds(contents.fitted.catalogue.columns).items():
        yield f"{name} {kind}"
    for variant, model in sorted(contents.models.items()):
        yield f"{variant} {model.objective} {fingerprint(model.features)}"
    # Two shops with equal data have two versions: each names the users of its own database.
    if contents.shop_id:
        yield f"shop {contents.shop_id}"
    if contents.order != "model":
        yield contents.order


def _booster_file(subfolder: str, variant: str) -> str:
    return f"{subfolder}/{variant}.ubj"


def _prune(root: BundleRoot, published: str, n_kept: int) -> None:
    needed = {published, read_current(root), rollback_target_at(root)}
    for version in root.versions()[:-n_kept]:
        if version not in needed:
            root.remove_version(version)
            root.remove_folder(report_name(version))
