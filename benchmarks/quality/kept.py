"""Results that are kept in a folder, so that a broken run goes on where it stopped.

A result is kept under a hash of everything that it depends on: data, settings and code.
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


def kept(folder: Path, name: str, key: str, make: Callable[[], Document]) -> Document:
    """The document of this name and key, made where it is not there yet."""
    file = folder / f"{name}-{key}.json"
    if not file.is_file():
        made = make()
        _write(file, lambda unfinished: unfinished.write_text(json.dumps(made), "utf-8"))
    found: Document = json.loads(file.read_text("utf-8"))
    return found


def keeping(folder: Path, key: str) -> Keep:
    """Remembers the lists of the tuned models."""

    def keep(name: str, make: Callable[[], RivalLists]) -> RivalLists:
        file = folder / f"{name}-{key}.npz"
        if not file.is_file():
            made = make()
            _write(file, lambda unfinished: _write_baseline(made, unfinished))
        return _read_baseline(file)

    return keep


def _write(file: Path, write: Callable[[Path], object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"unfinished-{file.name}")
    write(unfinished)
    unfinished.replace(file)


def _write_baseline(made: RivalLists, file: Path) -> None:
    arrays: dict[str, Any] = {"lists": made.lists}
    if made.inner_lists is not None:
        arrays["inner_lists"] = made.inner_lists
    said = json.dumps({"parameters": dict(made.parameters), "seconds": made.seconds})
    np.savez(file, said=np.array(said), **arrays)


def _read_baseline(file: Path) -> RivalLists:
    with np.load(file, allow_pickle=False) as found:
        said = json.loads(str(found["said"]))
        return RivalLists(
            found["lists"], found.get("inner_lists"), said["parameters"], said["seconds"]
        )
