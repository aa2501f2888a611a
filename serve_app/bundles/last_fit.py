"""Records how the last fits of a shop ended, beside its bundles."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serve_app.bundles.roots import open_root

LAST_FIT = "last_fit.json"


class LastFit(BaseModel):
    """The ends of the last fits."""

    model_config = ConfigDict(frozen=True)

    succeeded_at: float | None = Field(
        default=None, description="Epoch seconds of the last fit that published a version."
    )
    failed_at: float | None = Field(
        default=None, description="Epoch seconds of a later fit that failed."
    )
    failure: str = Field(default="", description="Error of that fit.")


def read_last_fit(root: str) -> LastFit:
    """The ends of the last fits under the root; empty if none ended or the file is unreadable.

    Raises:
        StoreUnavailable: the object store did not answer.
    """
    content = open_root(root).read(LAST_FIT)
    try:
        return LastFit() if content is None else LastFit.model_validate_json(content)
    except ValidationError:
        # Nothing but a report of the past depends on it, and the next fit writes it anew.
        return LastFit()


def record_success(root: str, at: float) -> None:
    """Records that a fit published, at an epoch second."""
    _write(root, LastFit(succeeded_at=at))


def record_failure(root: str, at: float, failure: str) -> None:
    """Records why a fit failed, at an epoch second; the last success stays."""
    succeeded_at = read_last_fit(root).succeeded_at
    _write(root, LastFit(succeeded_at=succeeded_at, failed_at=at, failure=failure))


def _write(root: str, last: LastFit) -> None:
    opened = open_root(root)
    # A first fit that fails comes before the first bundle, and so before the folder.
    with opened.locked():
        opened.write(LAST_FIT, last.model_dump_json().encode())
