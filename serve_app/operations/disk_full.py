"""Recognizes a full disk, whichever library met it."""

import errno
from collections.abc import Iterator

DISK_FULL = (
    "the disk is full: free some space, or move RECSERVE_HOME, the temporary folder (TMPDIR) or the"
    " database to a larger one. Nothing was published; run the command again"
)

_ERRNOS = (errno.ENOSPC, errno.EDQUOT)

_SQLSTATE = "53100"
"""PostgreSQL's disk_full."""


def is_disk_full(error: BaseException) -> bool:
    """Tells whether a full disk, or a used up quota, is the cause of an error."""
    return any(
        getattr(cause, "errno", None) in _ERRNOS or getattr(cause, "sqlstate", None) == _SQLSTATE
        for cause in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop()
        if cause is None or any(cause is one for one in seen):
            continue
        seen.append(cause)
        yield cause
        # ``cause`` is Ray's: an error of a worker.
        of_worker = getattr(cause, "cause", None)
        waiting += [cause.__cause__, cause.__context__]
        waiting += [of_worker] if isinstance(of_worker, BaseException) else []
