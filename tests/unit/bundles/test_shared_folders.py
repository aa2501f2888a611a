"""Writing to a full disk; ``/dev/full`` refuses every byte as one does."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from serve_app.bundles.shared_folders import partial_folder
from serve_app.errors import DiskFull
from serve_app.fitting.workspace.step_folders import Done, Workspace

FULL = Path("/dev/full")


def copy_tree(partial):
    (partial / "from").mkdir()
    (partial / "from" / "file").write_text("content")
    (partial / "to").mkdir()
    (partial / "to" / "file").symlink_to(FULL)
    shutil.copytree(partial / "from", partial / "to", dirs_exist_ok=True)


@pytest.mark.parametrize(
    "write",
    [
        lambda _: FULL.write_text("content"),
        lambda _: FULL.write_bytes(b"content" * 10_000),
        lambda partial: np.save(link(partial), np.zeros(100_000)),
        copy_tree,
    ],
    ids=["text", "bytes", "array", "folder"],
)
def test_a_full_disk_is_named_and_nothing_half_written_stays(tmp_path, write):
    with (
        pytest.raises(DiskFull, match=f"no space is left on the disk of {tmp_path}"),
        partial_folder(tmp_path) as partial,
    ):
        write(partial)

    assert list(tmp_path.iterdir()) == []


def link(partial):
    (partial / "array.npy").symlink_to(FULL)
    return partial / "array.npy"


def test_another_fault_of_the_disk_stays_what_it_is(tmp_path):
    with pytest.raises(PermissionError), partial_folder(tmp_path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "x")


def test_a_step_that_finds_no_space_keeps_its_earlier_results(tmp_path):
    work, done = Workspace(tmp_path), Done("key", 1.0, 1)
    with work.writing("check") as (folder, finish):
        (folder / "result").write_text("earlier")
        finish(done)

    with pytest.raises(DiskFull), work.writing("check") as (folder, finish):
        FULL.write_text("later")

    assert work.done("check") == done
    assert (work.folder_of("check") / "result").read_text() == "earlier"
