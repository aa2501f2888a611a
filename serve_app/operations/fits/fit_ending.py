"""Words the end of a fit in which no model was better than popularity."""

from serve_app.bundles.bundle import current_version
from serve_app.bundles.manifest import Manifest
from serve_app.bundles.version_reports import StoredVerdict, read_verdict


def describe_ending(root: str, manifest: Manifest) -> str | None:
    """The last sentence about a fit; ``None`` if its model was better than popularity.

    Raises:
        BundleDamaged: the report or the pointer cannot be read.
        StoreUnavailable: the object store did not answer.
    """
    verdict = read_verdict(root, manifest.version)
    served = current_version(root) == manifest.version
    return None if verdict is None else last_sentence(manifest, verdict, served=served)


def last_sentence(manifest: Manifest, verdict: StoredVerdict, *, served: bool) -> str | None:
    if not verdict.lack:
        return None
    if not served:
        so = f"so {manifest.version} is not served"
    elif manifest.order == "popularity":
        so = "so lists are ordered by popularity"
    else:
        so = "but an operator serves the models"
    return f"Nothing was better than popularity, {so}: {verdict.lack}."
