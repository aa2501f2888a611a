"""Works on folders that other processes use too: locks, leftovers, and writes to the disk.

The folders hold histories and ids of users. Therefore only their owner may read them.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from serve_app.errors import DiskFull

PARTIAL = ".partial-"

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
"""Modes of folders and files that their owner alone may read."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Waits for all other processes that lock the folder, then locks it."""
    folder.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
    # The kernel frees the lock when its holder dies, however it dies. The file stays: if it were
    # deleted, two processes could lock two files of one name.
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def partial_folder(folder: Path) -> Iterator[Path]:
    """A new folder to work in, deleted at the end unless it was renamed.

    Call it under ``exclusive``: any other partial folder was then left by a dead process.

    Raises:
        DiskFull: no space was left for what the caller wrote.
    """
    for leftover in folder.glob(f"{PARTIAL}*"):
        shutil.rmtree(leftover)
    # mkdtemp makes a private folder.
    partial = Path(mkdtemp(prefix=PARTIAL, dir=folder))
    try:
        with disk_full_in_words(folder):
            yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def make_private(folder: Path) -> None:
    """Lets the owner alone read a folder and everything below it."""
    folder.chmod(PRIVATE_FOLDER)
    for path in folder.rglob("*"):
        path.chmod(PRIVATE_FOLDER if path.is_dir() else PRIVATE_FILE)


@contextmanager
def disk_full_in_words(folder: Path) -> Iterator[None]:
    """Turns the errors of a full disk into ``DiskFull``, which names the folder."""
    try:
        yield
    except OSError as error:
        if not _is_disk_full(error):
            raise
        raise DiskFull(str(folder)) from error


def _is_disk_full(error: OSError) -> bool:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    # numpy counts the numbers that it could write, and ``shutil.copytree`` collects texts. Neither
    # passes on the error's number.
    texts = ("requested and", os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
    return error.errno is None and any(text in str(error) for text in texts)


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
