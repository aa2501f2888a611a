"""Keeps bundles in a local folder, which replicas map in place."""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from serve_app.bundles.manifest import (
    MANIFEST,
    VERSION_PATTERN,
    Manifest,
    is_complete,
    write_manifest,
)
from serve_app.bundles.shared_folders import (
    PARTIAL,
    PRIVATE_FILE,
    PRIVATE_FOLDER,
    disk_full_in_words,
    exclusive,
    make_private,
    modified,
    partial_folder,
    sync,
    sync_tree,
)
from serve_app.errors import BundleMissing, SettingsInvalid


@dataclass(frozen=True, slots=True)
class LocalRoot:
    """A :class:`serve_app.bundles.roots.BundleRoot` in a folder."""

    folder: Path

    @property
    def name(self) -> str:
        return str(self.folder)

    def locked(self) -> AbstractContextManager[None]:
        return exclusive(self.folder)

    def read(self, file: str) -> bytes | None:
        try:
            return (self.folder / file).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, file: str, content: bytes) -> None:
        # A reader sees the old file or the new one. The contents reach the disk before the name
        # does: after a power cut the new name must not lead to an empty file.
        target, partial = self.folder / file, self.folder / f".{file}-{os.getpid()}"
        if target.is_dir():
            raise SettingsInvalid(str(target), "is a folder, and must be a file: move it away")
        with disk_full_in_words(self.folder):
            partial.touch(PRIVATE_FILE)
            partial.write_bytes(content)
            sync(partial)
        os.replace(partial, target)
        sync(self.folder)

    def versions(self) -> list[str]:
        paths = self.folder.glob(f"*/{MANIFEST}")
        manifests = [path for path in paths if VERSION_PATTERN.fullmatch(path.parent.name)]
        return [path.parent.name for path in sorted(manifests, key=modified)]

    def holds(self, manifest: Manifest) -> bool:
        return is_complete(self.folder / manifest.version)

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        try:
            self.folder.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsInvalid("bundle root", f"{self.folder}: {error.strerror}") from error
        with exclusive(self.folder), partial_folder(self.folder) as partial:
            yield partial

    def add_version(self, folder: Path, manifest: Manifest) -> None:
        write_manifest(folder, manifest)
        make_private(folder)
        # Everything is on the disk before the rename makes it a version.
        sync_tree(folder)
        self.remove_version(manifest.version)
        folder.rename(self.folder / manifest.version)
        sync(self.folder)

    def remove_version(self, version: str) -> None:
        self.remove_folder(version)

    def remove_unfinished(self, before_at: float) -> None:
        """Does nothing: a version appears by a rename, and ``workspace`` removes what was left."""

    def copy_folder(self, folder: Path, name: str) -> None:
        target = self.folder / name
        partial = self.folder / f"{PARTIAL}put-{target.name}"
        shutil.copytree(folder, partial)
        make_private(partial)
        sync_tree(partial)
        self.remove_folder(name)
        target.parent.mkdir(PRIVATE_FOLDER, exist_ok=True)
        partial.rename(target)
        sync(target.parent)

    def remove_folder(self, name: str) -> None:
        target = self.folder / name
        if target.exists():
            # Renamed first, in one step: half a version must not look like a version.
            doomed = target.rename(self.folder / f"{PARTIAL}removed-{target.name}")
            shutil.rmtree(doomed)

    def is_abandoned(self, name: str, before_at: float) -> bool:
        """True: ``workspace`` lets one fit write at a time."""
        return True

    def version_folders(self, name: str) -> list[str]:
        below = (self.folder / name).glob("*/")
        return [path.name for path in below if VERSION_PATTERN.fullmatch(path.name)]

    def open(self, version: str, cache_dir: Path) -> Path:
        folder = self.folder / version
        if not VERSION_PATTERN.fullmatch(version) or not folder.is_dir():
            raise BundleMissing(self.name, version)
        return folder
