"""Reads the report of a fit on the version that it published.

A report lies beside its version, not in it. A version is named after its contents and never
changes, but a later fit may publish equal contents and judge them anew.
"""

import json
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from serve_app.bundles.manifest import VERSION_PATTERN
from serve_app.bundles.roots import BundleRoot, open_root
from serve_app.errors import BundleDamaged

REPORTS = "reports"
REPORT_FILE = "report.json"


class StoredVerdict(BaseModel):
    """The fit's decision to make its version current, with the reason. Unknown keys are ignored.

    Attributes:
        lack: what the data lack, if no model was better than popularity; else empty.
    """

    model_config = ConfigDict(frozen=True)

    promoted: bool
    reason: str
    lack: str = ""


def report_location(root: str, version: str) -> str:
    """Folder or URI of a version's report, even if there is none."""
    below = report_name(version)
    if "://" not in root:
        return f"{root}/{below}"
    # A URI may end with options of the object store, behind the path.
    parts = urlsplit(root)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{below}").geturl()


def read_report(root: str, version: str) -> dict[str, Any] | None:
    """The report's ``report.json``; ``None`` when the version has none.

    Raises:
        BundleDamaged: the report is not a JSON object.
        StoreUnavailable: the object store did not answer.
    """
    if not VERSION_PATTERN.fullmatch(version):
        return None
    content = open_root(root).read(f"{report_name(version)}/{REPORT_FILE}")
    if content is None:
        return None
    try:
        report = json.loads(content)
    except ValueError as error:
        raise BundleDamaged(version, f"its {REPORT_FILE} is not JSON: {error}") from error
    if not isinstance(report, dict):
        raise BundleDamaged(version, f"its {REPORT_FILE} is not a JSON object")
    return report


def read_verdict(root: str, version: str) -> StoredVerdict | None:
    """The verdict in the version's report; ``None`` when there is none.

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
        field = ".".join(map(str, ("verdict", *first["loc"])))
        raise BundleDamaged(version, f"its {REPORT_FILE}: {field}: {first['msg']}") from error


def report_name(version: str) -> str:
    """The folder of a version's report below the root."""
    return f"{REPORTS}/{version}"


def remove_orphans(root: BundleRoot, before_at: float) -> None:
    """Removes the reports of versions that were removed.

    Args:
        before_at: as ``BundleRoot.is_abandoned``: a fit writes its report before its version.
    """
    for version in set(root.version_folders(REPORTS)) - set(root.versions()):
        if root.is_abandoned(report_name(version), before_at):
            root.remove_folder(report_name(version))
