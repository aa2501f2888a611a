"""Where bundles lie: a local folder that is opened in place, or a URI that nodes copy from.

<root>/current                      the version that is served
<root>/promotions.jsonl             which versions were made current, and by whom
<root>/<version>/manifest.json …    a bundle, immutable
<root>/reports/<version>/…          what its fit found; may be replaced
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from serve_app.bundles.local import LocalRoot
from serve_app.bundles.manifest import VERSION_PATTERN, Manifest
from serve_app.bundles.manifest_files import MANIFEST, parsed
from serve_app.errors import BundleDamaged, BundleMissing

CURRENT = "current"


class BundleRoot(Protocol):
    """Where versions are kept. A version is either whole or not there."""

    @property
    def name(self) -> str:
        """Folder or URI, for messages."""
        ...

    def alone(self) -> AbstractContextManager[None]:
        """Keeps other writers away meanwhile, where the place can. ``workspace`` does so too."""
        ...

    def read(self, file: str) -> bytes | None:
        """The bytes of a small file below the root, ``None`` when it is not there."""
        ...

    def write(self, file: str, content: bytes) -> None:
        """Makes or replaces a small file at the top of the root, in one step."""
        ...

    def versions(self) -> list[str]:
        """Versions that are there, in the order in which they were published."""
        ...

    def holds(self, manifest: Manifest) -> bool:
        """Whether this version is there and whole."""
        ...

    def workspace(self) -> AbstractContextManager[Path]:
        """
        A folder to write a version in; gone at the end, whatever happens.

        Raises:
            SettingsInvalid: nothing can be written there.
        """
        ...

    def put(self, folder: Path, manifest: Manifest) -> None:
        """Takes in what was written in a ``workspace``, with its manifest, as a version."""
        ...

    def remove(self, version: str) -> None: ...

    def put_folder(self, folder: Path, name: str) -> None:
        """Copies a folder in, in place of what has that name; within a ``workspace``."""
        ...

    def remove_folder(self, name: str) -> None: ...

    def folders(self, name: str) -> list[str]:
        """Folders in the folder of that name that are called like a version."""
        ...

    def open(self, version: str, cache_dir: Path) -> Path:
        """
        A local folder that holds the version; it may be a copy below ``cache_dir``.

        Raises:
            BundleMissing: no such version.
        """
        ...


def bundle_root(root: str) -> BundleRoot:
    """
    A plain path is a local folder. Anything with ``://`` is opened through ``pyarrow.fs`` (object
    stores, or ``file://`` for a network mount that nodes should copy from rather than map).

    Raises:
        SettingsInvalid: the root is a URI of a kind that is not known.
    """
    if "://" not in root:
        return LocalRoot(Path(root))
    # It imports pyarrow, which costs a replica 30 MB that a local folder does not need.
    from serve_app.bundles.remote import remote_root

    return remote_root(root)


def read_current(place: BundleRoot) -> str | None:
    """
    The version that is served, ``None`` before the first is published.

    Raises:
        BundleDamaged: ``current`` names no version.
    """
    content = place.read(CURRENT)
    if content is None:
        return None
    version = content.decode(errors="replace").strip()
    if not VERSION_PATTERN.fullmatch(version):
        raise BundleDamaged(version[:40], f"{place.name}/{CURRENT} names no version")
    return version


def read_manifest_at(place: BundleRoot, version: str) -> Manifest:
    """
    What a version says of itself.

    Raises:
        BundleMissing: no such version.
        BundleDamaged: its manifest is not one that this build reads.
    """
    is_name = VERSION_PATTERN.fullmatch(version)
    content = place.read(f"{version}/{MANIFEST}") if is_name else None
    if content is None:
        raise BundleMissing(place.name, version, tuple(place.versions()))
    return parsed(content, version)


@dataclass(frozen=True, slots=True)
class BundleLocation:
    """
    Attributes:
        root: folder or URI under which bundles are published.
        cache_dir: where a node keeps its copies of bundles under a URI.
    """

    root: str
    cache_dir: Path
