"""Which files of the package a result depends on."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.home import ROOT


def with_imports(files: Iterable[Path]) -> frozenset[Path]:
    """Modules of the package, and all of it that they import, however indirectly."""
    found: set[Path] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting.extend(_imported(file))
    return frozenset(found)


def _imported(file: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            # What is imported from a package may be a module of it.
            names = (node.module, *(f"{node.module}.{each.name}" for each in node.names))
        elif isinstance(node, ast.Import):
            names = tuple(each.name for each in node.names)
        else:
            continue
        places = [ROOT.joinpath(*name.split(".")) for name in names]
        files = (file for place in places for file in (f"{place}.py", place / "__init__.py"))
        yield from filter(Path.is_file, map(Path, files))
