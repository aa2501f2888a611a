"""Bundles: all that one fit publishes, immutable, memory-mapped by the replicas that serve it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serve_app.arrays.ragged import Offsets
from serve_app.bundles.array_files import Array, build, build_columns, open_array
from serve_app.bundles.manifest import Manifest
from serve_app.bundles.manifest_files import check_hashes, check_sizes, read_manifest
from serve_app.bundles.roots import bundle_root, read_current, read_manifest_at
from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.fitted import Fitted
from serve_app.domain.interactions import HistoryArchive
from serve_app.domain.scoring.model_features import SOURCES
from serve_app.errors import BundleDamaged


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Bundle:
    """
    One version, opened. Its arrays are read-only and shared by all processes of the node.

    Attributes:
        folder: local folder that holds it.
    """

    manifest: Manifest
    fitted: Fitted
    folder: Path

    def model_path(self, variant: str) -> Path:
        """Where the variant's model lies; raises ``KeyError`` for one that the bundle lacks."""
        return self.folder / self.manifest.models[variant].file

    def held_out_path(self, variant: str) -> Path | None:
        """
        Where the model lies that was measured and has not learnt from the window that it was
        measured on; ``None`` when it was not kept. Raises as ``model_path``.
        """
        file = self.manifest.models[variant].held_out
        return None if file is None else self.folder / file


def current_version(root: str) -> str | None:
    """
    The version that is served, ``None`` before the first is published.

    Raises:
        BundleDamaged: ``current`` names no version.
        StoreUnavailable: the object store did not answer.
    """
    return read_current(bundle_root(root))


def versions(root: str) -> Sequence[str]:
    """All versions under the root, in the order in which they were published."""
    return bundle_root(root).versions()


def manifest_of(root: str, version: str) -> Manifest:
    """
    What a version says of itself; copies nothing.

    Raises:
        BundleMissing: no such version.
        BundleDamaged: its manifest is not one that this build reads.
        StoreUnavailable: the object store did not answer.
    """
    return read_manifest_at(bundle_root(root), version)


def open_bundle(root: str, version: str, *, cache_dir: Path, verify: bool = False) -> Bundle:
    """
    Args:
        root: local folder, which is opened in place, or URI, which is copied once per node.
        cache_dir: where copies go.
        verify: also compare the hash of every file.

    Raises:
        BundleMissing: no such version.
        BundleDamaged: a file is missing or is not what the manifest says.
        StoreUnavailable: the object store did not answer.
    """
    folder = bundle_root(root).open(version, cache_dir)
    manifest = read_manifest(folder, version)
    (check_hashes if verify else check_sizes)(folder, manifest)
    bundle = Bundle(
        manifest,
        Fitted(
            build(
                Catalogue,
                _reader(folder, manifest, "catalogue"),
                version=version,
                columns=build_columns(manifest.columns, _reader(folder, manifest, "catalogue")),
            ),
            build(CandidateTables, _reader(folder, manifest, "tables")),
            build(HistoryArchive, _reader(folder, manifest, "histories")),
        ),
        folder,
    )
    _check_shapes(bundle)
    return bundle


def open_current(root: str, *, cache_dir: Path) -> Bundle | None:
    """The bundle that is served, ``None`` before the first is published; raises as both."""
    version = current_version(root)
    return None if version is None else open_bundle(root, version, cache_dir=cache_dir)


def verify_bundle(root: str, version: str, *, cache_dir: Path) -> Manifest:
    """Compares every file with its hash; raises as ``open_bundle``."""
    return open_bundle(root, version, cache_dir=cache_dir, verify=True).manifest


def _reader(folder: Path, manifest: Manifest, part: str) -> Callable[[str], Array]:
    def read(name: str) -> Array:
        file = f"{part}/{name}.npy"
        try:
            return open_array(folder / file)
        except (OSError, ValueError) as error:
            raise BundleDamaged(manifest.version, f"{file}: {error}") from error

    return read


def _check_shapes(bundle: Bundle) -> None:
    """What the stages index by must fit together: they do not look at each access."""
    catalogue, tables, archive = (
        bundle.fitted.catalogue,
        bundle.fitted.tables,
        bundle.fitted.archive,
    )
    n_rows = len(catalogue)
    n_users = len(archive.offsets) - 1
    n_categories = catalogue.categories.n_words
    lists = {
        "histories": (archive.offsets, n_users, len(archive.events)),
        "category": (tables.category_offsets, n_categories, len(tables.category_rows)),
        "neighbour": (tables.neighbour_offsets, n_rows, len(tables.neighbour_rows)),
        "buyer": (tables.buyer_offsets, n_rows, len(tables.buyers)),
        "basket": (tables.basket_offsets, n_users, len(tables.basket_rows)),
        "linear": (tables.linear_offsets, n_rows, len(tables.linear_rows)),
    }
    for name, (offsets, n_lists, n_values) in lists.items():
        if not _fit(offsets, n_lists, n_values):
            raise BundleDamaged(
                bundle.manifest.version, f"the {name} offsets do not fit their values"
            )
    by_row = (
        "trends",
        "recent_trends",
        "factors_in",
        "factors_out",
        "content_vectors",
        "period_counts",
    )
    for name in by_row:
        if len(getattr(tables, name)) != n_rows:
            raise BundleDamaged(bundle.manifest.version, f"{name} are not as many as the items")
    if tables.source_weights.shape != (len(SOURCES),):
        raise BundleDamaged(bundle.manifest.version, "the sources have other weights than sources")
    if tables.period_counts.shape[1] != len(tables.period_starts_at):
        raise BundleDamaged(bundle.manifest.version, "the counts of the periods do not fit them")


def _fit(offsets: Offsets, n_lists: int, n_values: int) -> bool:
    return (
        len(offsets) == n_lists + 1
        and offsets[0] == 0
        and offsets[-1] == n_values
        and bool(np.all(offsets[:-1] <= offsets[1:]))
    )
