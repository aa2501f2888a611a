"""Defines, reads and writes ``manifest.json``, and compares the files of a bundle with it."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import file_digest, sha256
from pathlib import Path, PurePosixPath
from typing import Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from serve_app.domain.settings import Settings
from serve_app.errors import BundleDamaged
from serve_app.recommending.scoring.model_features import fingerprint

MANIFEST = "manifest.json"

FORMAT: Literal[9] = 9
"""Raise it when a file of a bundle changes its name, form or meaning, or the manifest gets a key:
builds that do not know the key then name the format that they read."""

_READABLE = (5, 6, 7, 8, FORMAT)
"""Format 5 has no ``shop_id`` and no ``order``; their defaults say what it meant. Format 6 has no
vectors of words, and no empty rows for new items. Format 7 has no tables of sessions, and format 8
no model of sessions."""

FIRST_WITH_WORDS = 7
"""The first format whose tables have vectors of words."""

FIRST_WITH_SESSIONS = 8
"""The first format whose tables have transitions and sessions."""

FIRST_WITH_SESSION_MODEL = 9
"""The first format whose tables have the vectors of a model of sessions."""

VERSION_PATTERN = re.compile(r"^[0-9]{8}-[0-9a-f]{8}$")
"""UTC day of the last interaction, and the start of the hash of the contents."""

Order = Literal["model", "popularity"]
"""Orders the lists of a bundle: the model of each variant, or the popularity of the items."""

ColumnKind = Literal["number", "flag", "text", "tags"]

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
"""Pattern of the names of variants, which become names of files, deployments and metrics."""


class FileManifest(Settings):
    """The ``sha256`` of a file in hex, and its ``size`` in bytes."""

    sha256: str
    size: int = Field(ge=0)


class ModelManifest(Settings):
    """The model of a variant: its file, its features and its measures.

    Attributes:
        file: name below the bundle's folder.
        features: names of the features, in the order of the columns of the model.
        fingerprint: ``fingerprint(features)`` in the build that fitted the model.
        objective: XGBoost's names of the objectives, joined by " + ".
        metrics: measured on the evaluation window, by name.
        held_out: file of the model that was measured, which has not learnt from the evaluation
            window; ``None`` when it was not kept.
    """

    file: str
    features: tuple[str, ...]
    fingerprint: str
    objective: str
    n_trees: int
    metrics: Mapping[str, float]
    held_out: str | None = None


class Manifest(Settings):
    """The contents of a bundle, as ``manifest.json`` has them.

    Attributes:
        version: name of the bundle.
        shop_id: identity of the database that it was fitted on; empty where none is known.
        created_at: time of publishing, epoch seconds.
        until_at: time of the last interaction that it contains, epoch seconds.
        horizon_s: length of the window that the labels of the models come from.
        measured_from_at: beginning of the evaluation window, epoch seconds; it ends at
            ``until_at``.
        files: by name below the bundle's folder.
        columns: kind of every catalogue column, in the order that numbers their files.
        models: by variant.
        metrics: measured on the evaluation window, by list compared (popularity, fused …).
        revision: of the shop; all its changes up to this one are in the arrays.
        order: ``popularity`` if nothing better was there to be served when no model was better.
        rating_scale: top of the scale of the ratings.
    """

    format: Literal[5, 6, 7, 8, 9] = FORMAT
    version: str = Field(pattern=VERSION_PATTERN.pattern)
    shop_id: str = ""
    created_at: float
    until_at: float
    horizon_s: float
    measured_from_at: float
    n_users: int
    n_items: int
    n_interactions: int
    files: Mapping[str, FileManifest]
    columns: Mapping[str, ColumnKind]
    models: Mapping[str, ModelManifest]
    metrics: Mapping[str, Mapping[str, float]]
    order: Order = "model"
    rating_scale: float = 5.0
    revision: int = Field(default=0, ge=0)

    @field_validator("files")
    @classmethod
    def _lie_below(cls, files: Mapping[str, FileManifest]) -> Mapping[str, FileManifest]:
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name:
                raise ValueError(f"{name!r} is no file below the folder")
        return files

    @model_validator(mode="after")
    def _models_are_files(self) -> Self:
        for variant, model in self.models.items():
            for file in (model.file, model.held_out):
                if file is not None and file not in self.files:
                    raise ValueError(f"the model {variant!r} is in {file!r}, which is not a file")
        return self


def unusable_variants(manifest: Manifest, variants: Sequence[str]) -> list[str]:
    """The variants without a model, or with one whose features this build assembles differently."""
    return [
        variant
        for variant in variants
        if (model := manifest.models.get(variant)) is None
        or model.fingerprint != fingerprint(model.features)
    ]


def read_manifest(folder: Path, version: str) -> Manifest:
    """Reads a version's manifest; raises BundleDamaged as ``parse_manifest``, or if missing."""
    try:
        content = (folder / MANIFEST).read_bytes()
    except FileNotFoundError as error:
        raise BundleDamaged(version, f"{MANIFEST} is missing") from error
    return parse_manifest(content, version)


def parse_manifest(content: bytes, version: str) -> Manifest:
    """Raises BundleDamaged if the content is no manifest, or this build cannot read it."""
    try:
        raw = json.loads(content)
    except ValueError as error:
        raise BundleDamaged(version, f"{MANIFEST} is not JSON: {error}") from error
    # Before the fields: a manifest of another format would only say that fields are missing.
    number = raw.get("format") if isinstance(raw, dict) else None
    if number not in _READABLE:
        read = f"{', '.join(map(str, _READABLE[:-1]))} and {_READABLE[-1]}"
        reason = f"its format is {number}, this build reads {read}: fit again with `recserve fit`"
        raise BundleDamaged(version, reason)
    try:
        manifest = Manifest.model_validate(raw)
    except ValidationError as error:
        raise BundleDamaged(version, f"{MANIFEST}: {_first_fault(error)}") from error
    if manifest.version != version:
        reason = f"{MANIFEST} is that of {manifest.version}: a folder keeps the name of its version"
        raise BundleDamaged(version, reason)
    return manifest


def _first_fault(error: ValidationError) -> str:
    first = error.errors()[0]
    return ": ".join([".".join(map(str, first["loc"])), first["msg"]]).lstrip(": ")


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
    """Raises BundleDamaged if a file is missing or has another length."""
    for name, expected in manifest.files.items():
        try:
            size = (folder / name).stat().st_size
        except FileNotFoundError as error:
            raise BundleDamaged(manifest.version, f"{name} is missing") from error
        if size != expected.size:
            reason = f"{name} has {size} bytes instead of {expected.size}"
            raise BundleDamaged(manifest.version, reason)


def check_hashes(folder: Path, manifest: Manifest) -> None:
    """Raises BundleDamaged if a file is missing, or is not the file that was published."""
    check_sizes(folder, manifest)
    for name, expected in manifest.files.items():
        if _sha256(folder / name) != expected.sha256:
            raise BundleDamaged(manifest.version, f"{name} is not the file that was published")


def is_complete(folder: Path) -> bool:
    """True if the folder holds the version that it is named after, no file missing or cut off."""
    try:
        check_sizes(folder, read_manifest(folder, folder.name))
    except BundleDamaged:
        return False
    return True


def content_hash(files: Mapping[str, FileManifest], more: Iterable[str]) -> str:
    """Identifies the contents of the files, 8 hex digits.

    Args:
        more: lines that make bundles with equal files different ones.
    """
    lines = [f"{name} {file.sha256}" for name, file in sorted(files.items())]
    return sha256("\n".join([str(FORMAT), *lines, *more]).encode()).hexdigest()[:8]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
