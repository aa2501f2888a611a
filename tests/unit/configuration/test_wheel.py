"""The wheel holds everything that a machine without a checkout needs."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from zipfile import ZipFile

import pytest

PROJECT = Path(__file__).parents[3]
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "serve_config.yaml")
FOLDERS = ("serve_app", "configs")
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def build_wheel(folder, **environment):
    try:
        enough = int(version("setuptools").split(".")[0]) >= 77
    except PackageNotFoundError:
        enough = False
    if not enough:
        pytest.skip("building the wheel needs setuptools 77 or later")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        shutil.copy(PROJECT / name, source)
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__", "*.so")
        shutil.copytree(PROJECT / name, source / name, ignore=ignored)
    subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)],
        cwd=source,
        env=os.environ | environment,
        capture_output=True,
        check=True,
    )
    [wheel] = folder.glob("*.whl")
    return wheel


def names_of(wheel):
    return ZipFile(wheel).namelist()


@pytest.fixture(scope="module")
def plain_wheel(tmp_path_factory):
    """A wheel that was built without a C compiler."""
    return build_wheel(tmp_path_factory.mktemp("plain"), CC="/bin/false")


def test_without_a_compiler_the_wheel_fits_every_platform(plain_wheel):
    assert plain_wheel.name.endswith("-py3-none-any.whl")
    assert not [name for name in names_of(plain_wheel) if name.endswith(".so")]
    assert all(name.startswith(("serve_app/", "recserve-")) for name in names_of(plain_wheel))
    assert not [name for name in names_of(plain_wheel) if ".data/" in name]


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_with_a_compiler_the_wheel_fits_every_python_of_the_platform(tmp_path):
    wheel = build_wheel(tmp_path)

    assert "-py3-none-linux_" in wheel.name
    assert "serve_app/recommending/scoring/_trees.so" in names_of(wheel)


def test_every_configuration_file_is_packaged_as_it_is(plain_wheel):
    files = [Path("serve_config.yaml")]
    files += [path.relative_to(PROJECT) for path in (PROJECT / "configs").iterdir()]
    with ZipFile(plain_wheel) as wheel:
        for path in files:
            assert wheel.read(f"serve_app/defaults/{path}") == (PROJECT / path).read_bytes()


def test_every_file_of_the_package_is_in_the_wheel(plain_wheel):
    package = PROJECT / "serve_app"
    suffixes = {".py", ".sql", ".css", ".md", ".typed"}
    files = {str(path.relative_to(PROJECT)) for path in package.rglob("*") if path.is_file()}

    assert {name for name in files if Path(name).suffix in suffixes} <= {*names_of(plain_wheel)}
    assert "serve_app/py.typed" in names_of(plain_wheel)
