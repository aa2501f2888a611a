"""Keeps bundles under a URI, from which every node copies them before it opens them."""

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from pyarrow import ArrowInvalid
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, copy_files

from serve_app.bundles.manifest import (
    MANIFEST,
    VERSION_PATTERN,
    Manifest,
    check_hashes,
    is_complete,
    read_manifest,
    write_manifest,
)
from serve_app.bundles.shared_folders import (
    disk_full_in_words,
    exclusive,
    make_private,
    modified,
    partial_folder,
)
from serve_app.errors import BundleMissing, SettingsInvalid, StoreUnavailable

N_CACHED = 3
"""Copies that a node keeps. A replica may still map an older one: deleted files stay mapped."""


def remote_root(uri: str) -> "RemoteRoot":
    """Opens a root by its URI; raises SettingsInvalid for a URI of an unknown kind."""
    try:
        files, path = FileSystem.from_uri(uri)
    # OSError: a library of this kind of store is missing, e.g. Java for HDFS.
    except (ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())
        raise SettingsInvalid("bundle root", f"{uri}: {reason}") from error
    return RemoteRoot(uri, files, path.rstrip("/"))


@dataclass(frozen=True, slots=True)
class RemoteRoot:
    """A :class:`serve_app.bundles.roots.BundleRoot` at ``path`` of a file system; named by URI."""

    name: str
    files: FileSystem
    path: str

    def locked(self) -> AbstractContextManager[None]:
        # Object stores have no locks: of two writers at once, the later one wins.
        return nullcontext()

    def read(self, file: str) -> bytes | None:
        with self._reachable():
            try:
                with self.files.open_input_stream(f"{self.path}/{file}") as stream:
                    content: bytes = stream.read()
                    return content
            except FileNotFoundError:
                return None

    def write(self, file: str, content: bytes) -> None:
        with self._reachable():
            # Named after its contents: two writers that share the name write equal bytes.
            partial = f"{self.path}/.{file}-{sha256(content).hexdigest()[:16]}"
            with self.files.open_output_stream(partial) as stream:
                stream.write(content)
            self.files.move(partial, f"{self.path}/{file}")

    def versions(self) -> list[str]:
        # The manifest is written last: a folder without one is no version.
        names = self.version_folders("")
        with self._reachable():
            manifests = self.files.get_file_info([self._manifest(name) for name in names])
        dated = [
            (manifest.mtime_ns, name)
            for name, manifest in zip(names, manifests, strict=True)
            if manifest.type == FileType.File
        ]
        return [name for _, name in sorted(dated)]

    def holds(self, manifest: Manifest) -> bool:
        return manifest.version in self.versions()

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        with (
            TemporaryDirectory(prefix="recserve-bundle-") as folder,
            disk_full_in_words(Path(folder)),
        ):
            yield Path(folder)

    def add_version(self, folder: Path, manifest: Manifest) -> None:
        self.remove_version(manifest.version)
        self.copy_folder(folder, manifest.version)
        with self._reachable():
            # An object store renames nothing in one step; the manifest makes the folder a version.
            write_manifest(folder, manifest)
            with self.files.open_output_stream(self._manifest(manifest.version)) as stream:
                stream.write((folder / MANIFEST).read_bytes())

    def remove_version(self, version: str) -> None:
        with self._reachable():
            manifest = self._manifest(version)
            # The manifest first: half a version must not look like a version.
            if self.files.get_file_info(manifest).type == FileType.File:
                self.files.delete_file(manifest)
        self.remove_folder(version)

    def remove_unfinished(self, before_at: float) -> None:
        for name in set(self.version_folders("")) - set(self.versions()):
            if self.is_abandoned(name, before_at):
                self.remove_folder(name)

    def is_abandoned(self, name: str, before_at: float) -> bool:
        # Nothing locks an object store: another fit may be writing this folder now.
        with self._reachable():
            files = self.files.get_file_info(FileSelector(f"{self.path}/{name}", recursive=True))
        return max((file.mtime_ns or 0 for file in files), default=0) < before_at * 1e9

    def copy_folder(self, folder: Path, name: str) -> None:
        self.remove_folder(name)
        with self._reachable():
            self.files.create_dir(f"{self.path}/{name}", recursive=True)
            copy_files(str(folder), f"{self.path}/{name}", LocalFileSystem(), self.files)

    def remove_folder(self, name: str) -> None:
        with self._reachable():
            if self.files.get_file_info(f"{self.path}/{name}").type == FileType.Directory:
                self.files.delete_dir(f"{self.path}/{name}")

    def version_folders(self, name: str) -> list[str]:
        with self._reachable():
            selector = FileSelector(f"{self.path}/{name}".rstrip("/"), allow_not_found=True)
            below = self.files.get_file_info(selector)
        return [info.base_name for info in below if VERSION_PATTERN.fullmatch(info.base_name)]

    def open(self, version: str, cache_dir: Path) -> Path:
        if not VERSION_PATTERN.fullmatch(version):
            raise BundleMissing(self.name, version)
        copy = cache_dir / version
        # Without the lock: the copy of another version must not keep anybody from a whole one.
        if is_complete(copy):
            return copy
        # One process of the node copies; the others wait for its copy.
        with exclusive(cache_dir):
            if not is_complete(copy):
                if version not in self.versions():
                    raise BundleMissing(self.name, version)
                self._copy(version, copy)
        return copy

    def _copy(self, version: str, copy: Path) -> None:
        with partial_folder(copy.parent) as partial:
            with self._reachable():
                copy_files(f"{self.path}/{version}", str(partial), self.files, LocalFileSystem())
            # Hashes once per copy, sizes at each opening: hashing reads every byte.
            check_hashes(partial, read_manifest(partial, version))
            make_private(partial)
            shutil.rmtree(copy, ignore_errors=True)
            partial.rename(copy)
        copies = [path for path in copy.parent.iterdir() if VERSION_PATTERN.fullmatch(path.name)]
        for old in sorted(copies, key=modified)[:-N_CACHED]:
            shutil.rmtree(old)

    def _manifest(self, version: str) -> str:
        return f"{self.path}/{version}/{MANIFEST}"

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable("bundle", f"{self.name}: {error}") from error
