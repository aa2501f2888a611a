"""Where bundles lie: a local folder that is opened in place, or a URI that nodes copy from.

A plain path is a local folder. Anything with ``://`` is opened through ``pyarrow.fs`` (object
stores, or ``file://`` for a network mount that nodes should copy from rather than map).
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from pyarrow import ArrowInvalid
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, copy_files

from serve_app.domain.manifest import VERSION_PATTERN, Manifest
from serve_app.errors import BundleDamaged, BundleMissing, SettingsInvalid, StoreUnavailable
from serve_app.stores.bundle_files import PARTIAL, exclusive, partial_folder, sync, sync_tree
from serve_app.stores.bundle_manifest import (
    MANIFEST,
    check_hashes,
    check_sizes,
    read_manifest,
    write_manifest,
)

CURRENT = "current"
N_CACHED = 3
"""Copies that a node keeps; a replica that still maps an older one keeps its pages."""


class BundleRoot(Protocol):
    """Where versions are kept. A version is either whole or not there."""

    def read_current(self) -> str | None:
        """The version that is served, or ``None`` before the first is published."""
        ...

    def write_current(self, version: str) -> None:
        """Changes it in one step."""
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

    def open(self, version: str, cache_dir: Path) -> Path:
        """
        A local folder that holds the version; it may be a copy below ``cache_dir``.

        Raises:
            BundleMissing: no such version.
        """
        ...


def bundle_root(root: str) -> BundleRoot:
    """
    Raises:
        SettingsInvalid: the root is a URI of a kind that is not known.
    """
    if "://" not in root:
        return LocalRoot(Path(root))
    try:
        files, path = FileSystem.from_uri(root)
    except ArrowInvalid as error:
        raise SettingsInvalid("bundle root", f"{root}: {error}") from error
    return RemoteRoot(root, files, path.rstrip("/"))


@dataclass(frozen=True, slots=True)
class LocalRoot:
    folder: Path

    def read_current(self) -> str | None:
        try:
            return _checked(str(self.folder), (self.folder / CURRENT).read_text())
        except FileNotFoundError:
            return None

    def write_current(self, version: str) -> None:
        partial = self.folder / f".{CURRENT}-{os.getpid()}"
        partial.write_text(version)
        sync(partial)
        os.replace(partial, self.folder / CURRENT)
        sync(self.folder)

    def versions(self) -> list[str]:
        manifests = self.folder.glob(f"*/{MANIFEST}")
        found = [path for path in manifests if VERSION_PATTERN.fullmatch(path.parent.name)]
        return [path.parent.name for path in sorted(found, key=_modified)]

    def holds(self, manifest: Manifest) -> bool:
        return _is_whole(self.folder / manifest.version)

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
        target = self.folder / version
        if target.exists():
            # In one step: a folder that is only half deleted must not look like a version.
            doomed = target.rename(self.folder / f"{PARTIAL}removed-{version}")
            shutil.rmtree(doomed)

    def open(self, version: str, cache_dir: Path) -> Path:
        folder = self.folder / version
        if not VERSION_PATTERN.fullmatch(version) or not folder.is_dir():
            raise BundleMissing(str(self.folder), version)
        return folder


@dataclass(frozen=True, slots=True)
class RemoteRoot:
    """
    Attributes:
        root: the URI, for messages.
        files: opens it.
        path: of the root within ``files``.
    """

    root: str
    files: FileSystem
    path: str

    def read_current(self) -> str | None:
        with self._reachable():
            try:
                with self.files.open_input_stream(f"{self.path}/{CURRENT}") as stream:
                    return _checked(self.root, stream.read().decode())
            except FileNotFoundError:
                return None

    def write_current(self, version: str) -> None:
        with self._reachable():
            partial = f"{self.path}/.{CURRENT}-{version}"
            with self.files.open_output_stream(partial) as stream:
                stream.write(version.encode())
            self.files.move(partial, f"{self.path}/{CURRENT}")

    def versions(self) -> list[str]:
        """A version is there once its manifest is, which is written last."""
        with self._reachable():
            below = self.files.get_file_info(FileSelector(self.path, allow_not_found=True))
            names = [each.base_name for each in below if VERSION_PATTERN.fullmatch(each.base_name)]
            manifests = self.files.get_file_info([self._manifest(name) for name in names])
        found = [
            (each.mtime_ns, name)
            for name, each in zip(names, manifests, strict=True)
            if each.type == FileType.File
        ]
        return [name for _, name in sorted(found)]

    def holds(self, manifest: Manifest) -> bool:
        return manifest.version in self.versions()

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        with TemporaryDirectory(prefix="recserve-bundle-") as folder:
            yield Path(folder)

    def put(self, folder: Path, manifest: Manifest) -> None:
        self.remove(manifest.version)
        target = f"{self.path}/{manifest.version}"
        with self._reachable():
            self.files.create_dir(target, recursive=True)
            copy_files(
                str(folder),
                target,
                source_filesystem=LocalFileSystem(),
                destination_filesystem=self.files,
            )
            write_manifest(folder, manifest)
            with self.files.open_output_stream(self._manifest(manifest.version)) as stream:
                stream.write((folder / MANIFEST).read_bytes())

    def remove(self, version: str) -> None:
        with self._reachable():
            manifest = self._manifest(version)
            # First what makes it a version, so that nobody takes what is half deleted for one.
            if self.files.get_file_info(manifest).type == FileType.File:
                self.files.delete_file(manifest)
            if self.files.get_file_info(f"{self.path}/{version}").type == FileType.Directory:
                self.files.delete_dir(f"{self.path}/{version}")

    def open(self, version: str, cache_dir: Path) -> Path:
        if not VERSION_PATTERN.fullmatch(version):
            raise BundleMissing(self.root, version)
        copy = cache_dir / version
        with exclusive(cache_dir):
            if not _is_whole(copy):
                if version not in self.versions():
                    raise BundleMissing(self.root, version)
                self._copy(version, copy)
        return copy

    def _copy(self, version: str, copy: Path) -> None:
        with partial_folder(copy.parent) as partial:
            with self._reachable():
                copy_files(
                    f"{self.path}/{version}",
                    str(partial),
                    source_filesystem=self.files,
                    destination_filesystem=LocalFileSystem(),
                )
            check_hashes(partial, read_manifest(partial, version))
            shutil.rmtree(copy, ignore_errors=True)
            partial.rename(copy)
        copies = [path for path in copy.parent.iterdir() if VERSION_PATTERN.fullmatch(path.name)]
        for old in sorted(copies, key=_modified)[:-N_CACHED]:
            shutil.rmtree(old)

    def _manifest(self, version: str) -> str:
        return f"{self.path}/{version}/{MANIFEST}"

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable("bundle", f"{self.root}: {error}") from error


def _modified(path: Path) -> tuple[int, str]:
    return path.stat().st_mtime_ns, path.parent.name


def _checked(root: str, text: str) -> str:
    version = text.strip()
    if not VERSION_PATTERN.fullmatch(version):
        raise BundleDamaged(version[:40], f"{root}/{CURRENT} names no version")
    return version


def _is_whole(folder: Path) -> bool:
    try:
        check_sizes(folder, read_manifest(folder, folder.name))
    except BundleDamaged:
        return False
    return True
