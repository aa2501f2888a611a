"""Keeps results in a folder: a run that broke continues where it stopped.

The name of a kept result holds a hash of everything that it depends on: data, settings and code.
"""

import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from serve_app.evaluation.rivals import Keep, RivalLists

Document = dict[str, Any]


def key_of(*parts: str | bytes) -> str:
    """16 hex digits that change with any of the parts."""
    hashed = sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        hashed.update(len(raw).to_bytes(8) + raw)
    return hashed.hexdigest()[:16]


def key_of_files(files: Iterable[Path]) -> str:
    return key_of(*(part for file in sorted(files) for part in (file.name, file.read_bytes())))


def load_or_make(folder: Path, name: str, key: str, make: Callable[[], Document]) -> Document:
    """Reads the document of this name and key; makes and keeps it if it is missing."""
    file = folder / f"{name}-{key}.json"
    if not file.is_file():
        document = make()
        _write(file, lambda unfinished: unfinished.write_text(json.dumps(document), "utf-8"))
    kept: Document = json.loads(file.read_text("utf-8"))
    return kept


def keep_in(folder: Path, key: str) -> Keep:
    """Makes a function that keeps the lists of rivals in a folder."""

    def keep(name: str, make: Callable[[], RivalLists]) -> RivalLists:
        file = folder / f"{name}-{key}.npz"
        if not file.is_file():
            lists = make()
            _write(file, lambda unfinished: _write_lists(lists, unfinished))
        return _read_lists(file)

    return keep


def _write(file: Path, write: Callable[[Path], object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Renamed when complete: a kept file is never half written.
    unfinished = file.with_name(f"unfinished-{file.name}")
    write(unfinished)
    unfinished.replace(file)


def _write_lists(made: RivalLists, file: Path) -> None:
    arrays: dict[str, Any] = {"lists": made.lists}
    if made.inner_lists is not None:
        arrays["inner_lists"] = made.inner_lists
    details = json.dumps({"parameters": dict(made.parameters), "seconds": made.seconds})
    np.savez(file, details=np.array(details), **arrays)


def _read_lists(file: Path) -> RivalLists:
    with np.load(file, allow_pickle=False) as kept:
        details = json.loads(str(kept["details"]))
        return RivalLists(
            kept["lists"], kept.get("inner_lists"), details["parameters"], details["seconds"]
        )
