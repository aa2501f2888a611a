"""Works on folders that other processes use too: locks, leftovers, and writes to the disk."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

PARTIAL = ".partial-"


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Waits for all other processes that lock the folder, then locks it."""
    folder.mkdir(parents=True, exist_ok=True)
    # The kernel frees the lock when its holder dies, however it dies. The file stays: if it were
    # deleted, two processes could lock two files of one name.
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def partial_folder(folder: Path) -> Iterator[Path]:
    """A new folder to work in, deleted at the end unless it was renamed.

    Call it under ``exclusive``: any other partial folder was then left by a dead process.
    """
    for leftover in folder.glob(f"{PARTIAL}*"):
        shutil.rmtree(leftover)
    partial = Path(mkdtemp(prefix=PARTIAL, dir=folder))
    # mkdtemp makes a private folder, but other users may run the replicas.
    partial.chmod(0o755)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Waits until everything below a folder is on the disk."""
    for path in sorted(folder.rglob("*"), reverse=True):
        sync(path)
    sync(folder)


def modified(path: Path) -> tuple[int, str]:
    """Sort key of files by time, then by the name of their folder."""
    # Two versions can be published within one tick of the clock: the name keeps the order stable.
    return path.stat().st_mtime_ns, path.parent.name
