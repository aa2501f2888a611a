"""Which version is served, as an operator decides it."""

from collections.abc import Sequence

from serve_app.bundles import promotions as bundle_promotions
from serve_app.bundles.bundle import manifest_of
from serve_app.bundles.manifest import lacking_models
from serve_app.bundles.version_reports import read_verdict
from serve_app.errors import PromotionRefused


def promote(
    root: str, version: str, variants: Sequence[str], *, force: bool, at: float
) -> str | None:
    """
    Serve a version that is there.

    Args:
        variants: that are served.
        force: even if something speaks against it.
        at: epoch seconds.

    Returns:
        What spoke against it and was overruled; None when nothing did.

    Raises:
        BundleMissing: no such version.
        BundleDamaged: this build cannot read it, or its report.
        PromotionRefused: something speaks against it, and ``force`` is not given.
    """
    found = (_not_taken_up(root, version, variants), _kept_back(root, version))
    objections = "; ".join(each for each in found if each is not None)
    if objections and not force:
        raise PromotionRefused(version, objections)
    bundle_promotions.promote(root, version, at=at, by="forced" if objections else "operator")
    return objections or None


def rollback(root: str, variants: Sequence[str], *, at: float) -> str:
    """
    Serve again what was served before the current version.

    Args:
        variants: that are served.
        at: epoch seconds.

    Returns:
        The version that is current now.

    Raises:
        NothingServedBefore: there is none.
        PromotionRefused: replicas would not take it up.
    """
    target = bundle_promotions.rollback_target(root)
    if target is not None and (objection := _not_taken_up(root, target, variants)):
        raise PromotionRefused(target, objection)
    return bundle_promotions.rollback(root, at=at)


def _kept_back(root: str, version: str) -> str | None:
    verdict = read_verdict(root, version)
    if verdict is None or verdict.promoted:
        return None
    return f"its fit kept it back ({verdict.reason})"


def _not_taken_up(root: str, version: str, variants: Sequence[str]) -> str | None:
    lacking = lacking_models(manifest_of(root, version), variants)
    if not lacking:
        return None
    return (
        f"it has no model of {', '.join(lacking)} that this build can use, so replicas would not"
        " take it up"
    )
