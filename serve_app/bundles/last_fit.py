"""Records how the last fits of a shop ended, beside its bundles."""

from pydantic import BaseModel, ConfigDict, ValidationError

from serve_app.bundles.roots import open_root

LAST_FIT = "last_fit.json"


class LastFit(BaseModel):
    """The ends of the last fits.

    Attributes:
        succeeded_at: epoch seconds of the last one that published; ``None`` before the first.
        failed_at: epoch seconds of a later one that failed; ``None`` if the last one published.
        failure: its error, in a sentence; empty without one.
    """

    model_config = ConfigDict(frozen=True)

    succeeded_at: float | None = None
    failed_at: float | None = None
    failure: str = ""


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
