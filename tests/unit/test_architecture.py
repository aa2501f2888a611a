"""Tests the shape of the package: who may import whom, what lives where, how long modules are."""

import ast
import re
import socket
import statistics
import sys
from collections import Counter
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
FOLDERS = {
    ".".join(path.parent.relative_to(ROOT).parts): path
    for path in sorted(PACKAGE.rglob("__init__.py"))
}
UNIT_TESTS = ROOT / "tests/unit"
TEXTS = sorted(
    path
    for folder in ("", "serve_app/**/", "tests/**/", "benchmarks/**/", "configs/", "docs/**/")
    for path in ROOT.glob(f"{folder}*")
    if path.suffix in {".py", ".sql", ".yaml", ".env", ".md"} and path != Path(__file__)
)

LAYERS = (
    {"cli"},
    {"operations"},
    {"app", "running"},
    {"http", "next_items"},
    {"evaluation", "serving", "simulation"},
    {"fitting", "demo", "telemetry"},
    {"loading", "bundles", "stores"},
    {"database", "live", "measuring"},
    {"recommending", "embedded"},
    {"domain"},
    {"arrays", "background", "reachability"},
    {"errors"},
)
"""From the top down; folders of one layer do not import each other."""

ALLOWED = {
    "ray": (
        "app",
        "serving.calls",
        "fitting.workspace.on_ray",
        "operations.config_lint",
        "telemetry.counting",
    ),
    "fastapi": ("http",),
    "starlette": ("http.http_errors",),
    "orjson": ("serving", "http"),
    "redis": ("stores", "embedded"),
    "psycopg": ("database", "stores", "embedded"),
    "xgboost": ("bundles", "recommending.scoring", "fitting.training"),
    "scipy": ("recommending", "fitting", "measuring", "evaluation", "next_items"),
    "pandas": ("loading", "demo", "fitting", "database", "evaluation"),
    "pyarrow": ("loading", "demo", "bundles.remote", "simulation.popular_lists"),
    "yaml": ("operations.yaml_file",),
    "psutil": ("running", "operations"),
    "implicit": ("evaluation",),
    "matplotlib": ("fitting.report", "simulation.reward_plot"),
    "threadpoolctl": ("evaluation",),
    "requests": ("running", "operations.doctor.live_check"),
    "urllib3": ("simulation.shop_service",),
    "click": ("cli",),
    "tqdm": ("cli.progress",),
    "pydantic": ("",),
    "numpy": ("",),
}
"""The modules that may import a third-party package, by the beginning of their names."""

OTHERS = {
    "ValueError",  # in validators and decoders: pydantic, or the caller, gives it its name
    "AssertionError",
    "TimeoutError",
    "Failed",  # outcomes of the checks of doctor, which never leave it
    "Skipped",
    "click.UsageError",
    "click.BadParameter",
    "yaml.constructor.ConstructorError",
    "ReadOnlyError",  # of redis: a connection to a replica fails as a write through it would
}
"""Exceptions that the package may raise beside those of ``errors``."""

FACES = {
    "demo": ("choices", "demo_ids", "demo_shop", "purchases", "shopping", "tastes"),
    "embedded": ("lease",),
    "errors": (),
    "fitting.report": ("facts", "figures", "writing"),
    "fitting.tuning": ("source_tuning",),
    "loading": ("events", "in_memory", "load", "posted_items"),
    "http": ("ingress",),
    "operations.doctor": ("all_checks", "checking"),
}
"""The modules of a folder that the rest of the package may import; ``errors`` gives all it has."""

IMPORTERS = {
    "demo": ("cli", "operations", "simulation"),
    "recommending.candidates.sources": (
        "recommending.candidates",
        "fitting.steps",
        "fitting.tuning",
    ),
    "evaluation": ("cli", "operations", "next_items"),
    "evaluation.baselines": ("evaluation", "next_items"),
    "fitting.report": ("fitting.steps",),
    "fitting.steps": ("fitting", "evaluation", "next_items"),
    "fitting.tuning": ("fitting.steps",),
    "next_items": ("cli",),
    "operations": ("cli",),
    "http": ("app",),
    "running": ("cli", "operations"),
    "serving.stages": ("app", "serving"),
}
"""The only parts of the package that may import a folder, by the beginning of their names."""

TEST_FOLDERS_WITHOUT_A_FOLDER = {"benchmarks", "configuration", "docs"}
"""Folders of unit tests that test other things than the package."""

THEMES = {
    "cli/test_secrets.py": "no command repeats a password",
    "recommending/candidates/test_sources.py": "every source, on one shop computed by hand",
    "fitting/report/test_report.py": "a report from the facts to its files",
    "fitting/test_quality_of_lists.py": "a whole fit of shops that are small or odd",
    "fitting/test_steps.py": "the steps together: resuming and killing a fit",
    "fitting/test_whole_fit.py": "the bundle that all steps together publish",
    "http/test_http.py": "the HTTP contract of all routes together",
    "stores/test_freshness_law.py": "no answer lacks an acknowledged event",
    "serving/stages/test_stages.py": "every stage leaves its event loop free",
    "test_architecture.py": "the shape of the package",
    "test_docs.py": "the documentation",
    "test_errors.py": "all errors of the tree",
}
"""Files of unit tests that test several modules together, and their theme."""

REPEATED_FILE_NAMES = {"pipeline"}
"""One for a request, one for a fit."""

QUESTION_WORDS = r"(What|Which|Who|Whoever|Whether|How)\b"
FILE_ENDINGS = {"html", "json", "jsonl", "md", "yaml"}
LONGEST_MODULE = 300
MOST_FILES = 15
LARGEST_FOLDER = 2500
LARGE_FOLDERS = {"fitting", "recommending"}
"""Capabilities that are larger: each is one, and its folders keep it in order."""

LONGEST_FUNCTION = 40
MEDIAN_FUNCTION = 5
P90_FUNCTION = 16


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


@cache
def imports_of(name: str) -> frozenset[str]:
    """Modules and names that a module imports, anywhere in it; relative imports keep their dot."""
    return frozenset(_imports(tree_of(name)))


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def is_in(name: str, folder: str) -> bool:
    """Tells whether a dotted name is the folder or lies in it."""
    return f"{name}.".startswith(f"{folder}.")


def imported_from(folder: str) -> Iterator[tuple[str, str]]:
    """Pairs of an importing module outside the folder and an imported module inside it."""
    for name in MODULES:
        if not is_in(name, folder):
            yield from (
                (name, other) for other in imports_of(name) & MODULES.keys() if is_in(other, folder)
            )


def siblings_of(folder: str) -> dict[str, set[str]]:
    """The modules and folders directly in a folder, each with the siblings that it imports."""
    graph: dict[str, set[str]] = {}
    for name in MODULES:
        if is_in(name, folder):
            child = child_of(name, folder)
            others = {
                child_of(other, folder)
                for other in imports_of(name) & MODULES.keys()
                if is_in(other, folder)
            }
            graph.setdefault(child, set()).update(others - {child})
    return graph


def child_of(name: str, folder: str) -> str:
    return name.removeprefix(f"{folder}.").split(".")[0]


def depth_of(name: str) -> int:
    [depth] = [i for i, layer in enumerate(LAYERS) if name.split(".")[1] in layer]
    return depth


def third_party(name: str) -> set[str]:
    return {imported.split(".")[0] for imported in imports_of(name)} & ALLOWED.keys()


each_module = pytest.mark.parametrize("name", MODULES)
each_folder = pytest.mark.parametrize("folder", FOLDERS)


@each_module
def test_imports_run_downward(name):
    own = name.split(".")[1]
    for imported in imports_of(name):
        assert not imported.startswith("."), f"{name} imports relatively"
        if imported.startswith("serve_app.") and imported.split(".")[1] != own:
            assert depth_of(imported) > depth_of(name), f"{name} imports {imported}"


def test_no_module_imports_itself_through_others():
    graph = {name: MODULES.keys() & imports_of(name) for name in MODULES}

    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


@each_folder
def test_modules_and_folders_side_by_side_have_no_cycle(folder):
    graph = siblings_of(folder)

    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)


@pytest.mark.parametrize("folder", FACES)
def test_a_folder_with_a_face_is_imported_only_through_it(folder):
    package = f"serve_app.{folder}"
    assert package in FOLDERS
    faces = {f"{package}.{face}" for face in FACES[folder]}

    assert faces <= MODULES.keys()
    for name, other in imported_from(package):
        assert other in faces, f"{name} imports {other}"


@pytest.mark.parametrize("folder", IMPORTERS)
def test_only_its_importers_import_a_folder(folder):
    allowed = [f"serve_app.{importer}" for importer in IMPORTERS[folder]]
    pairs = list(imported_from(f"serve_app.{folder}"))

    assert f"serve_app.{folder}" in FOLDERS
    for name, other in pairs:
        assert any(is_in(name, importer) for importer in allowed), f"{name} imports {other}"
    for importer in allowed:
        assert any(is_in(name, importer) for name, _ in pairs), f"{importer} no longer imports it"


@each_folder
def test_a_folder_says_what_lives_there_and_what_may_not(folder):
    text = FOLDERS[folder].read_text(encoding="utf-8")
    about = ast.get_docstring(ast.parse(text)) or ""

    if folder != "serve_app":
        lives, _, may_not = about.partition("\n\n")
        assert lives
        assert may_not, "a second paragraph says what may not live there, or what it does not do"


def test_every_folder_of_modules_has_an_init():
    assert {name.rpartition(".")[0] for name in MODULES} <= FOLDERS.keys()


@pytest.mark.parametrize(
    "path",
    sorted(UNIT_TESTS.rglob("test_*.py")),
    ids=lambda path: str(path.relative_to(UNIT_TESTS)),
)
def test_unit_tests_mirror_the_package(path):
    relative = path.relative_to(UNIT_TESTS)
    if relative.parts[0] in TEST_FOLDERS_WITHOUT_A_FOLDER:
        return
    folder = PACKAGE / relative.parent
    module = folder / path.name.removeprefix("test_")

    assert folder.is_dir(), f"{relative.parent} is no folder of the package"
    if relative.as_posix() in THEMES:
        assert not module.exists(), "named as a module: no theme"
    else:
        assert module.is_file(), f"{relative} tests no module and has no theme"


def test_every_theme_of_unit_tests_has_its_file():
    assert [theme for theme in THEMES if not (UNIT_TESTS / theme).is_file()] == []


@each_module
def test_third_party_packages_are_imported_only_where_they_may_be(name):
    short = name.removeprefix("serve_app.")
    for package in third_party(name):
        assert short.startswith(ALLOWED[package]), f"{name} imports {package}"


def test_every_third_party_package_is_in_the_table():
    names = {other.split(".")[0] for name in MODULES for other in imports_of(name)}

    assert names - sys.stdlib_module_names - {"serve_app"} <= ALLOWED.keys()


@each_module
def test_raises_only_errors_of_the_tree_or_of_the_table(name):
    tree = tree_of(name)
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    imported = {
        other.rsplit(".", 1)[-1]
        for other in imports_of(name)
        if other.startswith("serve_app.errors.")
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
        node.name
        for name in MODULES
        if is_in(name, "serve_app.errors")
        for node in tree_of(name).body
        if isinstance(node, ast.ClassDef)
    }

    assert drawn == defined


@pytest.mark.parametrize("name", ["serve_app.app", "serve_app.http.api"])
def test_annotations_stay_objects_where_serve_and_fastapi_read_them(name):
    assert "__future__" not in imports_of(name)


@each_module
def test_modules_and_functions_are_short(name):
    assert lines_in(name) <= LONGEST_MODULE
    for function in functions_of(name):
        assert lines_of(function) <= LONGEST_FUNCTION, function.name


def test_no_folder_has_more_files_than_one_sees_at_a_glance():
    n_files = Counter(name.rpartition(".")[0] for name in MODULES)

    assert {name: n for name, n in n_files.items() if n > MOST_FILES} == {}


def test_no_capability_grows_into_a_second_one():
    n_lines: Counter[str] = Counter()
    for name in MODULES:
        n_lines[name.split(".")[1]] += lines_in(name)

    large = {name for name, n in n_lines.items() if n > LARGEST_FOLDER}
    assert large == LARGE_FOLDERS


def test_most_modules_and_functions_are_shorter():
    functions = sorted(lines_of(function) for name in MODULES for function in functions_of(name))

    assert statistics.median(functions) <= MEDIAN_FUNCTION
    assert functions[int(0.9 * len(functions))] <= P90_FUNCTION


def lines_in(name: str) -> int:
    return MODULES[name].read_text(encoding="utf-8").count("\n")


def functions_of(name: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [
        node
        for node in ast.walk(tree_of(name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


@each_module
def test_a_module_says_what_it_does(name):
    about = ast.get_docstring(tree_of(name))

    assert about, "a module says what it is for"
    assert len(about.splitlines()[0]) <= 100
    assert not re.match(QUESTION_WORDS, about), "begin with a verb"


@each_module
def test_a_module_is_named_for_what_it_does(name):
    assert not set(re.split(r"[._]", name)) & {"util", "utils", "helper", "helpers", "common"}
    assert not set(re.split(r"[._]", name)) & {"base", "manager", "misc", "handler", "handlers"}


def test_file_names_are_unique():
    names = Counter(name.rpartition(".")[2] for name in MODULES)

    assert {name for name, n in names.items() if n > 1} <= REPEATED_FILE_NAMES


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_left_for_later(path):
    text = path.read_text(encoding="utf-8")

    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text)
    assert not re.search(r"except[^:\n]*:\s*\n\s*pass\b", text), "an error vanishes"


@pytest.mark.parametrize("path", sorted(UNIT_TESTS.rglob("*.py")), ids=lambda path: path.name)
def test_unit_tests_do_not_sleep(path):
    calls = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("sleep")
    ]

    # Zero seconds only let other tasks run.
    assert set(calls) <= {"asyncio.sleep(0)"}


def test_a_unit_test_cannot_connect():
    with socket.socket() as probe, pytest.raises(pytest.fail.Exception, match="tests/contract"):
        probe.connect(("127.0.0.1", 9))


def test_a_unit_test_cannot_start_ray():
    with pytest.raises(pytest.fail.Exception, match="tests/graph"):
        import_module("ray").init()


@pytest.mark.parametrize("name", [*MODULES, *FOLDERS])
def test_prose_names_only_modules_and_names_that_there_are(name):
    text = {**MODULES, **FOLDERS}[name].read_text(encoding="utf-8")
    # An argument may be called like a module: its attributes are no names in the module.
    arguments = {node.arg for node in ast.walk(ast.parse(text)) if isinstance(node, ast.arg)}
    names = [
        dotted
        for dotted in re.findall(r"``([a-z]\w*(?:\.\w+)+)``", text)
        if is_ours(dotted) and dotted.split(".")[0] not in arguments
    ]

    assert [dotted for dotted in names if not is_defined(dotted)] == []


def is_ours(dotted: str) -> bool:
    """Tells whether a dotted name begins with a module or a folder, and is no name of a file."""
    parts = dotted.split(".")
    return parts[-1] not in FILE_ENDINGS and bool(named(parts[0]))


def is_defined(dotted: str) -> bool:
    """Tells whether a dotted name is a module or a folder, or a name in one."""
    parts = dotted.split(".")
    return bool(named(dotted)) or any(
        has_path(import_module(module), parts[i:])
        for i in range(1, len(parts))
        for module in named(".".join(parts[:i]))
    )


def named(dotted: str) -> list[str]:
    """Modules and folders whose full names end with a dotted name."""
    return [name for name in (*MODULES, *FOLDERS) if f".{name}".endswith(f".{dotted}")]


def has_path(thing: object, path: list[str]) -> bool:
    """Tells whether the attributes of a path, or the fields of a class, lead somewhere."""
    for part in path:
        fields = getattr(thing, "model_fields", {}) | getattr(thing, "__dataclass_fields__", {})
        if part in fields:
            return True
        if not hasattr(thing, part):
            return False
        thing = getattr(thing, part)
    return True


@pytest.mark.parametrize(
    ("dotted", "defined"),
    [
        ("filters.masks", True),
        ("masks.Condition.field", True),
        ("masks.COMPARISONS", True),
        ("filters.nowhere", False),
        ("masks.nothing", False),
    ],
)
def test_finds_out_whether_a_dotted_name_is_defined(dotted, defined):
    assert is_ours(dotted)
    assert is_defined(dotted) is defined
