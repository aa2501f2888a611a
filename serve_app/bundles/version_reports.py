"""What a fit says of the version that it published.

A report lies beside its version, not in it: a version is named after its contents and never
changes, and the same contents may be judged again.
"""

import json
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from serve_app.bundles.manifest import VERSION_PATTERN
from serve_app.bundles.promotion_log import StoredVerdict
from serve_app.bundles.roots import BundleRoot, bundle_root
from serve_app.errors import BundleDamaged

REPORTS = "reports"
REPORT_FILE = "report.json"


def report_location(root: str, version: str) -> str:
    """Folder or URI of a version's report, whether there is one or not."""
    below = f"{REPORTS}/{version}"
    if "://" not in root:
        return f"{root}/{below}"
    # Options of an object store stand behind the path.
    parts = urlsplit(root)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{below}").geturl()


def read_report(root: str, version: str) -> dict[str, Any] | None:
    """
    The report's ``report.json``; ``None`` when the version has none.

    Raises:
        BundleDamaged: it is not a JSON object.
        StoreUnavailable: the object store did not answer.
    """
    if not VERSION_PATTERN.fullmatch(version):
        return None
    content = bundle_root(root).read(f"{report_name(version)}/{REPORT_FILE}")
    if content is None:
        return None
    try:
        found = json.loads(content)
    except ValueError as error:
        raise BundleDamaged(version, f"its {REPORT_FILE} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BundleDamaged(version, f"its {REPORT_FILE} is not a JSON object")
    return found


def read_verdict(root: str, version: str) -> StoredVerdict | None:
    """
    Whether the fit made the version current; ``None`` when its report does not say.

    Raises:
        BundleDamaged: the report cannot be read.
        StoreUnavailable: the object store did not answer.
    """
    report = read_report(root, version) or {}
    if "verdict" not in report:
        return None
    try:
        return StoredVerdict.model_validate(report["verdict"])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, ("verdict", *first["loc"])))
        raise BundleDamaged(version, f"its {REPORT_FILE}: {place}: {first['msg']}") from error


def report_name(version: str) -> str:
    """Of a version's report below the root."""
    return f"{REPORTS}/{version}"


def remove_orphans(place: BundleRoot) -> None:
    """Removes reports of versions that are gone."""
    for version in set(place.folders(REPORTS)) - set(place.versions()):
        place.remove_folder(report_name(version))
