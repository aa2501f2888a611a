import ctypes
import os

import psutil
import pytest

from serve_app.fitting.workspace.memory import give_back_freed

MB = 1024 * 1024


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="no glibc")
def test_gives_back_pages_between_those_that_are_used():
    process = psutil.Process(os.getpid())
    # Blocks below glibc's first limit for memory of their own; every tenth one stays.
    blocks = [bytes([1]) * 64 * 1024 for _ in range(100 * MB // (64 * 1024))]
    kept = blocks[::10]
    del blocks
    before = process.memory_info().rss

    give_back_freed()

    assert process.memory_info().rss < before - 50 * MB
    assert len(kept) > 10


def test_does_nothing_where_the_c_library_has_no_such_function(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())

    give_back_freed()
