"""What a bundle says of itself: ``manifest.json``."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from serve_app.domain.scoring.model_features import fingerprint
from serve_app.domain.settings import Settings

FORMAT: Literal[5] = 5
"""Raised whenever files of a bundle change their name, form or meaning."""

VERSION_PATTERN = re.compile(r"\d{8}-[0-9a-f]{8}")
"""UTC day of the last interaction, and the start of the hash of the contents."""

ColumnKind = Literal["number", "flag", "text", "tags"]

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
"""Names of variants: they become names of files, deployments and metrics."""


class FileManifest(Settings):
    """Attributes: sha256: hex; size: bytes."""

    sha256: str
    size: int = Field(ge=0)


class ModelManifest(Settings):
    """
    Attributes:
        file: name below the bundle's folder.
        features: what the model was fitted with, in its order.
        fingerprint: ``domain.features.fingerprint(features)`` of the build that fitted it.
        objective: XGBoost's names of what was optimised, with " + " between them.
        n_trees: trees in the model.
        metrics: measured on the evaluation window, by name.
        held_out: file of the model that was measured, which has not learnt from the window that it
            was measured on; None when it was not kept.
    """

    file: str
    features: tuple[str, ...]
    fingerprint: str
    objective: str
    n_trees: int
    metrics: Mapping[str, float]
    held_out: str | None = None


class Manifest(Settings):
    """
    Attributes:
        version: name of the bundle.
        created_at: when it was published, epoch seconds.
        until_at: time of the last interaction that it knows, epoch seconds.
        horizon_s: length of the window that the labels of the models come from.
        measured_from_at: beginning of the window that was measured, epoch seconds; it ends at
            ``until_at``.
        files: by name below the bundle's folder.
        columns: kind of every catalogue column, in the order that numbers their files.
        models: by variant.
        metrics: measured on the evaluation window, by list compared (popularity, fused …).
    """

    format: Literal[5] = FORMAT
    version: str = Field(pattern=VERSION_PATTERN.pattern)
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


def lacking_models(manifest: Manifest, variants: Sequence[str]) -> list[str]:
    """Variants of which the bundle has no model, or one that another build was fitted for."""
    return [
        variant
        for variant in variants
        if (model := manifest.models.get(variant)) is None
        or model.fingerprint != fingerprint(model.features)
    ]
