"""Defines the errors of bundles that cannot be served."""

from collections.abc import Sequence

from serve_app.errors.root import RecserveError


class BundleError(RecserveError):
    """A bundle that cannot be served."""


class BundleMissing(BundleError):
    """The root has no such version."""

    root: str
    version: str
    others: Sequence[str] = ()

    def __str__(self) -> str:
        others = ", ".join(self.others)
        instead = f"; there are {others}" if others else ": publish one with `recserve fit`"
        return f"no bundle {self.version!r} under {self.root}{instead}"


class BundleDamaged(BundleError):
    """A file of the bundle is missing, or differs from the manifest."""

    text = "bundle {version} is damaged: {reason}"
    version: str
    reason: str


class ModelsUnusable(BundleError):
    """The bundle has no model that this build can use for a variant."""

    text = "bundle {version} has no usable model of {variants}"
    version: str
    variants: str


class NoBundleOpens(BundleError):
    """Versions were promoted, but a process can open none of them."""

    text = "no bundle under {root} can be opened: {reasons}"
    root: str
    reasons: str


class FingerprintMismatch(BundleError):
    """A model was fitted with features that this build assembles differently."""

    text = (
        "model {model!r} was fitted with features {actual}, this build assembles {expected}: fit"
        " again with `recserve fit`"
    )
    model: str
    expected: str
    actual: str
