"""Lets the fits of a test compute in its own process, where Ray's start would take longer."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from serve_app.fitting.workspace.workers import LocalWorkers
from serve_app.operations.fits import fit_bundle


@contextmanager
def _here(address: str | None, storage: str) -> Iterator[LocalWorkers]:
    yield LocalWorkers()


def fit_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces Ray in later fits: their results are the same bytes, as other tests prove."""
    monkeypatch.setattr(fit_bundle, "on_ray", _here)
