import errno

import psycopg
import pytest
from ray.exceptions import RayTaskError

from serve_app.operations.disk_full import is_disk_full


def chained(error):
    try:
        try:
            raise error
        except Exception as cause:
            raise RuntimeError("a step failed") from cause
    except RuntimeError as raised:
        return raised


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded", "file"),
        psycopg.errors.DiskFull("could not extend file"),
        RayTaskError("train", "traceback", OSError(errno.ENOSPC, "No space left")),
    ],
)
def test_is_recognized_wherever_it_is_met(error):
    assert is_disk_full(error)
    assert is_disk_full(chained(error))


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EACCES, "Permission denied"), ValueError("x"), psycopg.OperationalError("x")],
)
def test_other_errors_are_not(error):
    assert not is_disk_full(error)
    assert not is_disk_full(chained(error))


def test_a_circle_of_causes_ends():
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first

    assert not is_disk_full(first)
