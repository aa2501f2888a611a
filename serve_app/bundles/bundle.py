"""Opens bundles: everything that one fit publishes, mapped into memory by all replicas."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serve_app.arrays.columns import IdIndex
from serve_app.arrays.ragged import Offsets
from serve_app.bundles.array_files import Array, build, build_columns, open_array
from serve_app.bundles.manifest import (
    FIRST_WITH_SESSION_MODEL,
    FIRST_WITH_SESSIONS,
    FIRST_WITH_WORDS,
    Manifest,
    check_hashes,
    check_sizes,
    read_manifest,
)
from serve_app.bundles.roots import open_root, read_current, read_manifest_at
from serve_app.domain.candidate_tables import N_CONTEXTS, CandidateTables
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.fitted import Fitted
from serve_app.domain.interactions import HistoryArchive
from serve_app.errors import AnotherShop, BundleDamaged, BundleError
from serve_app.recommending.scoring.model_features import SOURCES


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Bundle:
    """One opened version. Its arrays are read-only, and processes of a node share their memory.

    Attributes:
        folder: local folder that holds its files.
    """

    manifest: Manifest
    fitted: Fitted
    folder: Path

    def model_path(self, variant: str) -> Path:
        """The file of the variant's model; raises ``KeyError`` if the bundle has no such model."""
        return self.folder / self.manifest.models[variant].file

    def held_out_path(self, variant: str) -> Path | None:
        """The file of the model that was measured, which has not learnt from the evaluation window.

        ``None`` when it was not kept; raises as ``model_path``.
        """
        file = self.manifest.models[variant].held_out
        return None if file is None else self.folder / file


def current_version(root: str) -> str | None:
    """``read_current`` by the root's name; also raises StoreUnavailable."""
    return read_current(open_root(root))


def versions(root: str) -> Sequence[str]:
    """All versions under the root, in the order in which they were published."""
    return open_root(root).versions()


def manifest_of(root: str, version: str) -> Manifest:
    """``read_manifest_at`` by the root's name, without a copy; also raises StoreUnavailable."""
    return read_manifest_at(open_root(root), version)


def served_shop(root: str) -> str:
    """Identity of the shop of the served bundle; empty if none is served, or none can be read."""
    try:
        version = current_version(root)
        return "" if version is None else manifest_of(root, version).shop_id
    except BundleError:
        return ""


def ensure_same_shop(root: str, shop_id: str) -> None:
    """Checks that the served bundle was fitted on the database of a shop, as far as it says so.

    Raises:
        AnotherShop: it was fitted on another database.
    """
    served = served_shop(root)
    if served not in ("", shop_id):
        raise AnotherShop(root, served, shop_id)


def open_bundle(root: str, version: str, *, cache_dir: Path, verify: bool = False) -> Bundle:
    """Opens a published version, mapped into memory.

    Args:
        root: local folder, which is mapped in place, or URI, which is copied once per node.
        cache_dir: folder of the copies.
        verify: also compare the hash of every file.

    Raises:
        BundleMissing: no such version.
        BundleDamaged: a file is missing or differs from the manifest.
        StoreUnavailable: the object store did not answer.
    """
    folder = open_root(root).open(version, cache_dir)
    manifest = read_manifest(folder, version)
    (check_hashes if verify else check_sizes)(folder, manifest)
    read = _reader(folder, manifest, "catalogue")
    columns = build_columns(manifest.columns, read)
    fitted = Fitted(
        build(Catalogue, read, version=version, columns=columns),
        _read_tables(folder, manifest),
        build(HistoryArchive, _reader(folder, manifest, "histories")),
    )
    _check_shapes(fitted)
    return Bundle(manifest, fitted, folder)


def open_current(root: str, *, cache_dir: Path) -> Bundle | None:
    """The bundle that is served, ``None`` before the first one; raises as both above."""
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


def _read_tables(folder: Path, manifest: Manifest) -> CandidateTables:
    read = _reader(folder, manifest, "tables")
    given = _no_sessions(read) if manifest.format < FIRST_WITH_SESSIONS else {}
    if manifest.format < FIRST_WITH_SESSION_MODEL:
        given |= _no_session_model()
    if manifest.format < FIRST_WITH_WORDS:
        # Without words: items that changed keep no content vector.
        width = read("content_vectors").shape[1]
        given |= {"word_index": IdIndex.of([]), "word_vectors": np.empty((0, width), np.float32)}
    return build(CandidateTables, read, "", **given)


_OLD_SOURCES = tuple(
    source for source in SOURCES if source not in ("next_items", "similar_sessions")
)


def _no_sessions(read: Callable[[str], Array]) -> dict[str, Array | IdIndex]:
    """Empty tables of transitions and sessions, for a bundle that has none.

    The sources that use them offer nothing, and have no weight.
    """
    n_rows = len(read("neighbour_offsets")) - 1
    weights = dict(zip(_OLD_SOURCES, read("source_weights"), strict=True))
    no_rows, none_each = np.empty(0, np.int32), np.zeros(n_rows + 1, np.int64)
    return {
        "until_at": np.full(1, np.inf),
        "source_weights": np.array([weights.get(source, 0) for source in SOURCES], np.float32),
        "transition_offsets": none_each,
        "transition_rows": no_rows,
        "transition_weights": np.empty((0, 3), np.float32),
        "step_in": np.zeros((n_rows, 1), np.float32),
        "step_out": np.zeros((n_rows, 1), np.float32),
        "pair_keys": np.empty(0, np.int64),
        "pair_offsets": np.zeros(1, np.int64),
        "pair_rows": no_rows,
        "pair_weights": np.empty(0, np.float32),
        "pair_rests": np.empty(0, np.float32),
        "session_offsets": np.zeros(1, np.int64),
        "session_rows": no_rows,
        "visit_offsets": none_each,
        "visits": no_rows,
    }


def _no_session_model() -> dict[str, Array | IdIndex]:
    """A model of sessions that knows no item."""
    return {
        "session_items": np.empty(0, np.int32),
        "context_vectors": np.empty((0, N_CONTEXTS, 1), np.float32),
        "next_vectors": np.empty((0, 1), np.float32),
        "next_biases": np.empty(0, np.float32),
    }


_BY_ITEM = (
    *("trends", "recent_trends", "period_counts"),
    *("factors_in", "factors_out", "content_vectors"),
    *("step_in", "step_out"),
)


def _check_shapes(fitted: Fitted) -> None:
    # Once, here: the stages index these arrays by each other without checks of their own.
    catalogue, tables, archive = fitted.catalogue, fitted.tables, fitted.archive
    version, n_rows = catalogue.version, len(catalogue)
    n_users = len(archive.offsets) - 1
    n_categories, n_sessions = catalogue.categories.n_words, len(tables.session_offsets) - 1
    lists = {
        "histories": (archive.offsets, n_users, len(archive.events)),
        "category": (tables.category_offsets, n_categories, len(tables.category_rows)),
        "neighbour": (tables.neighbour_offsets, n_rows, len(tables.neighbour_rows)),
        "buyer": (tables.buyer_offsets, n_rows, len(tables.buyers)),
        "basket": (tables.basket_offsets, n_users, len(tables.basket_rows)),
        "linear": (tables.linear_offsets, n_rows, len(tables.linear_rows)),
        "transition": (tables.transition_offsets, n_rows, len(tables.transition_rows)),
        "session": (tables.session_offsets, n_sessions, len(tables.session_rows)),
        "pair": (tables.pair_offsets, len(tables.pair_keys), len(tables.pair_rows)),
        "visit": (tables.visit_offsets, n_rows, len(tables.visits)),
    }
    for name, (offsets, n_lists, n_values) in lists.items():
        if not _are_valid_offsets(offsets, n_lists, n_values):
            raise BundleDamaged(version, f"the {name} offsets do not fit their values")
    for name in _BY_ITEM:
        if len(getattr(tables, name)) != n_rows:
            raise BundleDamaged(version, f"{name} has not one row per item")
    _check_session_model(tables, version, n_rows)
    if tables.word_vectors.shape != (len(tables.word_index.rows), tables.content_vectors.shape[1]):
        raise BundleDamaged(version, "word_vectors has not one row per word")
    if tables.source_weights.shape != (len(SOURCES),):
        raise BundleDamaged(version, "source_weights has not one weight per source")
    if tables.period_counts.shape[1] != len(tables.period_starts_at):
        raise BundleDamaged(version, "period_counts has not one column per period")


def _check_session_model(tables: CandidateTables, version: str, n_rows: int) -> None:
    items, width = tables.session_items, tables.next_vectors.shape[-1]
    shapes = {
        "context_vectors": (len(items), N_CONTEXTS, width),
        "next_vectors": (len(items), width),
        "next_biases": (len(items),),
    }
    for name, shape in shapes.items():
        if getattr(tables, name).shape != shape:
            raise BundleDamaged(version, f"{name} does not fit the items of the model of sessions")
    is_ascending = np.all(items[:-1] < items[1:])
    if not (is_ascending and np.all((items >= 0) & (items < n_rows))):
        raise BundleDamaged(version, "session_items are not rows of items, ascending")


def _are_valid_offsets(offsets: Offsets, n_lists: int, n_values: int) -> bool:
    is_covering = len(offsets) == n_lists + 1 and offsets[0] == 0 and offsets[-1] == n_values
    return is_covering and bool(np.all(offsets[:-1] <= offsets[1:]))
