"""Reads and writes ``manifest.json``, and holds a bundle's files against it."""

import json
from collections.abc import Iterable, Mapping
from hashlib import file_digest, sha256
from pathlib import Path

from pydantic import ValidationError

from serve_app.bundles.manifest import FORMAT, FileManifest, Manifest
from serve_app.errors import BundleDamaged

MANIFEST = "manifest.json"


def read_manifest(folder: Path, version: str) -> Manifest:
    """
    Raises:
        BundleDamaged: no manifest, or one that this build cannot read.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
    except FileNotFoundError as error:
        raise BundleDamaged(version, f"{MANIFEST} is missing") from error
    return parsed(content, version)


def parsed(content: bytes, version: str) -> Manifest:
    """
    Raises:
        BundleDamaged: the content is no manifest, or one that this build cannot read.
    """
    try:
        raw = json.loads(content)
    except ValueError as error:
        raise BundleDamaged(version, f"{MANIFEST} is not JSON: {error}") from error
    found = raw.get("format") if isinstance(raw, dict) else None
    if found != FORMAT:
        reason = f"its format is {found}, this build reads {FORMAT}: fit again with `recserve fit`"
        raise BundleDamaged(version, reason)
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        raise BundleDamaged(version, f"{MANIFEST}: {error}") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1))


def describe_files(folder: Path) -> dict[str, FileManifest]:
    """Size and hash of every file below the folder, by name, ascending."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): FileManifest(
            sha256=_sha256(path), size=path.stat().st_size
        )
        for path in paths
    }


def check_sizes(folder: Path, manifest: Manifest) -> None:
    """
    Raises:
        BundleDamaged: a file is missing or has another length.
    """
    for name, expected in manifest.files.items():
        try:
            size = (folder / name).stat().st_size
        except FileNotFoundError as error:
            raise BundleDamaged(manifest.version, f"{name} is missing") from error
        if size != expected.size:
            raise BundleDamaged(
                manifest.version, f"{name} has {size} bytes instead of {expected.size}"
            )


def check_hashes(folder: Path, manifest: Manifest) -> None:
    """
    Raises:
        BundleDamaged: a file is missing or is not the one that was published.
    """
    check_sizes(folder, manifest)
    for name, expected in manifest.files.items():
        if _sha256(folder / name) != expected.sha256:
            raise BundleDamaged(manifest.version, f"{name} is not the file that was published")


def is_whole(folder: Path) -> bool:
    """Whether the folder holds the version that it is named after, no file cut off."""
    try:
        check_sizes(folder, read_manifest(folder, folder.name))
    except BundleDamaged:
        return False
    return True


def content_hash(files: Mapping[str, FileManifest], more: Iterable[str]) -> str:
    """Identifies what the files hold and what is said of them, 8 hex digits."""
    lines = [f"{name} {each.sha256}" for name, each in sorted(files.items())]
    return sha256("\n".join([str(FORMAT), *lines, *more]).encode()).hexdigest()[:8]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
