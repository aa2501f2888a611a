"""The shape of the package: who may import whom and what, and how a module looks."""

import ast
import re
import socket
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

from serve_app import errors

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "serve_app"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__init__.py"
}
TEXTS = sorted(
    path
    for folder in ("", "serve_app/**/", "tests/**/", "benchmarks/**/", "configs/", "docs/**/")
    for path in ROOT.glob(f"{folder}*")
    if path.suffix in {".py", ".sql", ".yaml", ".env", ".md"} and path != Path(__file__)
)

LAYERS = (
    {"cli"},
    {"operations"},
    {"app"},
    {"evaluation", "serving"},
    {"fitting", "demo", "telemetry"},
    {"loading", "bundles"},
    {"stores", "measuring"},
    {"domain", "embedded"},
    {"arrays", "background"},
    {"errors"},
)
"""From the top down; names of one layer do not know each other."""

ALLOWED = {
    "ray": ("app", "fitting.workspace.on_ray", "operations.lint", "telemetry.counting"),
    "fastapi": ("serving.http",),
    "starlette": (),
    "orjson": ("serving",),
    "redis": ("stores", "embedded"),
    "psycopg": ("stores", "embedded"),
    "psycopg_pool": ("stores",),
    "xgboost": ("bundles", "domain.scoring", "fitting.training"),
    "scipy": ("domain", "fitting", "measuring", "evaluation"),
    "pandas": ("loading", "demo", "fitting", "stores.postgres", "evaluation"),
    "pyarrow": ("loading", "demo", "bundles.remote"),
    "yaml": ("operations.lint",),
    "psutil": ("operations",),
    "implicit": ("evaluation",),
    "matplotlib": ("fitting.report",),
    "threadpoolctl": ("evaluation",),
    "requests": ("operations",),
    "click": ("cli",),
    "tqdm": ("operations.terminal",),
    "pydantic": ("",),
    "numpy": ("",),
}
"""Which modules may import a third-party package, by the beginning of their names."""

OTHERS = {
    "ValueError",  # in validators and decoders: pydantic, or the caller, gives it its name
    "AssertionError",
    "TimeoutError",
    "Failed",  # outcomes of the checks of doctor, which never leave it
    "Skipped",
    "click.UsageError",
    "click.BadParameter",
    "yaml.constructor.ConstructorError",
}
"""What is raised beside the errors of ``errors.py``."""

LONGEST_MODULE = 300
LONGEST_FUNCTION = 50


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def imports_of(name: str) -> Iterator[str]:
    """Modules and names that a module imports, wherever in it; relative imports keep their dot."""
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def depth_of(name: str) -> int:
    [depth] = [i for i, layer in enumerate(LAYERS) if name.split(".")[1] in layer]
    return depth


def third_party(name: str) -> set[str]:
    found = {imported.split(".")[0] for imported in imports_of(name)}
    return found & ALLOWED.keys()


each_module = pytest.mark.parametrize("name", MODULES)


@each_module
def test_imports_run_downward(name):
    own = name.split(".")[1]
    for imported in imports_of(name):
        assert not imported.startswith("."), f"{name} imports relatively"
        if imported.startswith("serve_app.") and imported.split(".")[1] != own:
            assert depth_of(imported) > depth_of(name), f"{name} imports {imported}"


def test_no_module_leads_back_to_itself():
    graph = {name: MODULES.keys() & set(imports_of(name)) for name in MODULES}

    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


@each_module
def test_third_party_packages_stay_where_they_belong(name):
    short = name.removeprefix("serve_app.")
    for package in third_party(name):
        assert short.startswith(ALLOWED[package]), f"{name} imports {package}"


def test_every_dependency_has_a_place():
    names = {each.split(".")[0] for name in MODULES for each in imports_of(name)}

    assert names - sys.stdlib_module_names - {"serve_app"} <= ALLOWED.keys()


@each_module
def test_only_what_may_be_caught_is_raised(name):
    tree = tree_of(name)
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    imported = {
        each.rsplit(".", 1)[-1] for each in imports_of(name) if each.startswith("serve_app.errors.")
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
            continue
        raised = ast.unparse(node.exc.func)
        foreign = raised.rsplit(".", 1)[-1] not in own | imported
        assert not foreign or raised in OTHERS, f"{name}:{node.lineno} raises {raised}"


def test_every_error_is_drawn_in_the_tree_of_errors():
    tree = (errors.__doc__ or "").split("Anything else")[0]
    drawn = set(re.findall(r"^    [│├└─ ]*([A-Z]\w+)", tree, re.M))
    defined = {
        node.name for node in tree_of("serve_app.errors").body if isinstance(node, ast.ClassDef)
    }

    assert drawn == defined


@pytest.mark.parametrize("name", ["serve_app.app", "serve_app.serving.http.api"])
def test_annotations_are_no_strings_where_serve_reads_them(name):
    assert "__future__" not in imports_of(name)


@each_module
def test_a_module_fits_a_head(name):
    text = MODULES[name].read_text(encoding="utf-8")
    functions = [
        node
        for node in ast.walk(tree_of(name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    assert text.count("\n") <= LONGEST_MODULE
    assert ast.get_docstring(tree_of(name)), "a module says what it is for"
    for function in functions:
        assert lines_of(function) <= LONGEST_FUNCTION, function.name


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


@each_module
def test_a_module_is_named_for_what_it_does(name):
    assert not set(re.split(r"[._]", name)) & {"util", "utils", "helper", "helpers", "common"}
    assert not set(re.split(r"[._]", name)) & {"base", "manager", "misc", "handler", "handlers"}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_left_for_later(path):
    text = path.read_text(encoding="utf-8")

    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text)
    assert not re.search(r"except[^:\n]*:\s*\n\s*pass\b", text), "an error vanishes"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests/unit").rglob("*.py")), ids=lambda path: path.name
)
def test_unit_tests_wait_for_no_clock(path):
    calls = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("sleep")
    ]

    # To let other tasks run is not to wait.
    assert set(calls) <= {"asyncio.sleep(0)"}


def test_a_unit_test_cannot_connect():
    with socket.socket() as probe, pytest.raises(pytest.fail.Exception, match="tests/contract"):
        probe.connect(("127.0.0.1", 9))


def test_a_unit_test_cannot_start_ray():
    with pytest.raises(pytest.fail.Exception, match="tests/graph"):
        import_module("ray").init()
