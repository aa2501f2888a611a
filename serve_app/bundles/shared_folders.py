"""Work on folders that other processes use too: locks, leftovers, and what reached the disk."""

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
    """Waits until no other process works on the folder; the kernel frees the lock of a dead one."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def partial_folder(folder: Path) -> Iterator[Path]:
    """A new folder to work in, gone at the end unless it was renamed.

    Call it under ``exclusive``: whatever else is unfinished then was left by a dead process.
    """
    for leftover in folder.glob(f"{PARTIAL}*"):
        shutil.rmtree(leftover)
    partial = Path(mkdtemp(prefix=PARTIAL, dir=folder))
    partial.chmod(0o755)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def sync(path: Path) -> None:
    """Waits until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        sync(path)
    sync(folder)


def modified(path: Path) -> tuple[int, str]:
    """Orders files of folders by time, then by the folder's name."""
    return path.stat().st_mtime_ns, path.parent.name
