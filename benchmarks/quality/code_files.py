"""Finds the code files of the package that a result depends on."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.home import ROOT


def with_imports(files: Iterable[Path]) -> frozenset[Path]:
    """Modules of the package with all modules that they import, directly or not."""
    files_found: set[Path] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file not in files_found:
            files_found.add(file)
            waiting.extend(_imported(file))
    return frozenset(files_found)


def _imported(file: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            # A name imported from a package may be a module.
            names = (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Import):
            names = tuple(alias.name for alias in node.names)
        else:
            continue
        paths = [ROOT.joinpath(*name.split(".")) for name in names]
        files = (file for path in paths for file in (f"{path}.py", path / "__init__.py"))
        yield from filter(Path.is_file, map(Path, files))
