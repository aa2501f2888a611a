"""Bundles in a local folder, opened in place."""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from serve_app.bundles.manifest import VERSION_PATTERN, Manifest
from serve_app.bundles.manifest_files import MANIFEST, is_whole, write_manifest
from serve_app.bundles.shared_folders import (
    PARTIAL,
    exclusive,
    modified,
    partial_folder,
    sync,
    sync_tree,
)
from serve_app.errors import BundleMissing, SettingsInvalid


@dataclass(frozen=True, slots=True)
class LocalRoot:
    """:class:`serve_app.bundles.roots.BundleRoot` in a folder."""

    folder: Path

    @property
    def name(self) -> str:
        return str(self.folder)

    def alone(self) -> AbstractContextManager[None]:
        return exclusive(self.folder)

    def read(self, file: str) -> bytes | None:
        try:
            return (self.folder / file).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, file: str, content: bytes) -> None:
        partial = self.folder / f".{file}-{os.getpid()}"
        partial.write_bytes(content)
        sync(partial)
        os.replace(partial, self.folder / file)
        sync(self.folder)

    def versions(self) -> list[str]:
        manifests = self.folder.glob(f"*/{MANIFEST}")
        found = [path for path in manifests if VERSION_PATTERN.fullmatch(path.parent.name)]
        return [path.parent.name for path in sorted(found, key=modified)]

    def holds(self, manifest: Manifest) -> bool:
        return is_whole(self.folder / manifest.version)

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsInvalid("bundle root", f"{self.folder}: {error.strerror}") from error
        with exclusive(self.folder), partial_folder(self.folder) as partial:
            yield partial

    def put(self, folder: Path, manifest: Manifest) -> None:
        write_manifest(folder, manifest)
        sync_tree(folder)
        self.remove(manifest.version)
        folder.rename(self.folder / manifest.version)
        sync(self.folder)

    def remove(self, version: str) -> None:
        self.remove_folder(version)

    def put_folder(self, folder: Path, name: str) -> None:
        target = self.folder / name
        partial = self.folder / f"{PARTIAL}put-{target.name}"
        shutil.copytree(folder, partial)
        partial.chmod(0o755)  # whatever a temporary folder had
        sync_tree(partial)
        self.remove_folder(name)
        target.parent.mkdir(exist_ok=True)
        partial.rename(target)
        sync(target.parent)

    def remove_folder(self, name: str) -> None:
        target = self.folder / name
        if target.exists():
            # In one step: a folder that is only half deleted must not look like a whole one.
            doomed = target.rename(self.folder / f"{PARTIAL}removed-{target.name}")
            shutil.rmtree(doomed)

    def folders(self, name: str) -> list[str]:
        below = (self.folder / name).glob("*/")
        return [path.name for path in below if VERSION_PATTERN.fullmatch(path.name)]

    def open(self, version: str, cache_dir: Path) -> Path:
        folder = self.folder / version
        if not VERSION_PATTERN.fullmatch(version) or not folder.is_dir():
            raise BundleMissing(self.name, version)
        return folder
