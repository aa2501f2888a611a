"""Opens roots of bundles: a local folder that is mapped in place, or a URI that nodes copy from.

<root>/current                      the version that is served
<root>/promotions.jsonl             the log of promotions
<root>/<version>/manifest.json …    a bundle, immutable
<root>/reports/<version>/…          the report of its fit; may be replaced
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from serve_app.bundles.local import LocalRoot
from serve_app.bundles.manifest import MANIFEST, VERSION_PATTERN, Manifest, parse_manifest
from serve_app.errors import BundleDamaged, BundleMissing

CURRENT = "current"


class BundleRoot(Protocol):
    """Keeps versions. A version is complete or absent, whenever a process dies."""

    @property
    def name(self) -> str:
        """Folder or URI, for messages."""

    def locked(self) -> AbstractContextManager[None]:
        """Excludes other writers, if the root can. ``workspace`` excludes them too."""

    def read(self, file: str) -> bytes | None:
        """The bytes of a small file below the root, ``None`` when it does not exist."""

    def write(self, file: str, content: bytes) -> None:
        """Writes or replaces a small file in the root, in one step.

        Raises:
            SettingsInvalid: a folder of a local root has the name of the file.
        """

    def versions(self) -> list[str]:
        """All versions, in the order in which they were published."""

    def holds(self, manifest: Manifest) -> bool:
        """True if this version is there and complete."""

    def workspace(self) -> AbstractContextManager[Path]:
        """A folder to write a version in; deleted at the end, also after an error.

        Raises:
            SettingsInvalid: nothing can be written there.
        """

    def add_version(self, folder: Path, manifest: Manifest) -> None:
        """Adds the contents of a ``workspace``, with their manifest, as a version."""

    def remove_version(self, version: str) -> None: ...

    def remove_unfinished(self, before_at: float) -> None:
        """Removes what dead fits have left of versions.

        Args:
            before_at: epoch seconds; what was written later may belong to a running fit.
        """

    def copy_folder(self, folder: Path, name: str) -> None:
        """Copies a folder into the root, over any folder of that name; within a ``workspace``."""

    def remove_folder(self, name: str) -> None: ...

    def is_abandoned(self, name: str, before_at: float) -> bool:
        """True if no running fit can be writing a folder of the root.

        Args:
            before_at: epoch seconds; what was written later may belong to a running fit.
        """

    def version_folders(self, name: str) -> list[str]:
        """Names of the folders in a folder of the root that are named like a version."""

    def open(self, version: str, cache_dir: Path) -> Path:
        """A local folder that holds the version; it may be a copy below ``cache_dir``.

        Raises:
            BundleMissing: no such version.
        """


def open_root(root: str) -> BundleRoot:
    """Opens a root: a plain path is a local folder; anything with ``://`` opens through
    ``pyarrow.fs``.

    ``file://`` is for a network mount: nodes copy from it instead of mapping its files.

    Raises:
        SettingsInvalid: the root is a URI of an unknown kind.
    """
    if "://" not in root:
        return LocalRoot(Path(root))
    # It imports pyarrow, which costs a replica 30 MB that a local folder does not need.
    from serve_app.bundles.remote import remote_root

    return remote_root(root)


def read_current(root: BundleRoot) -> str | None:
    """The version that is served, ``None`` before the first is published.

    Raises:
        BundleDamaged: ``current`` names no version, or may not be read.
    """
    try:
        content = root.read(CURRENT)
    except OSError as error:
        raise BundleDamaged(CURRENT, f"{root.name}/{CURRENT}: {error.strerror}") from error
    if content is None:
        return None
    version = content.decode(errors="replace").strip()
    if not VERSION_PATTERN.fullmatch(version):
        raise BundleDamaged(version[:40], f"{root.name}/{CURRENT} names no version")
    return version


def read_manifest_at(root: BundleRoot, version: str) -> Manifest:
    """The manifest of a version.

    Raises:
        BundleMissing: no such version.
        BundleDamaged: this build cannot read its manifest.
    """
    # The pattern first: the version may come from a user, and could leave the root ("../x").
    is_name = VERSION_PATTERN.fullmatch(version)
    content = root.read(f"{version}/{MANIFEST}") if is_name else None
    if content is None:
        raise BundleMissing(root.name, version, tuple(root.versions()))
    return parse_manifest(content, version)


@dataclass(frozen=True, slots=True)
class BundleLocation:
    """Where bundles are published, and where a node keeps its copies.

    Attributes:
        root: folder or URI under which bundles are published.
        cache_dir: folder of a node's copies of bundles under a URI.
        variants: variants that are served; a version without a model of one is avoided.
    """

    root: str
    cache_dir: Path
    variants: tuple[str, ...] = ()
