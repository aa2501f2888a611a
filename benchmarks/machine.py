"""Describes the machine, versions, command and shop of a benchmark."""

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.home import ROOT, SHOP

_FOLDERS_OF_THIS_MACHINE = re.compile(r"(^|=)/(?:.*/)?")

_PACKAGES = ("ray", "numpy", "xgboost-cpu", "redis", "psycopg", "fastapi", "uvicorn")


def facts(packages: Sequence[str] = _PACKAGES) -> str:
    """Cores, versions and commit, on one line."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{len(os.sched_getaffinity(0))} cores ({_processor()}) · Python"
        f" {platform.python_version()}, {versions} · commit {_commit()}"
    )


def command_of(module: str, arguments: Sequence[str]) -> str:
    """The command without the folders of this machine."""
    return " ".join(
        [f"python -m {module}", *(_FOLDERS_OF_THIS_MACHINE.sub(r"\1", each) for each in arguments)]
    )


def shop_facts() -> str:
    """Size of the shop that serving is measured on."""
    return f"{SHOP.n_users:,} users, {SHOP.n_items:,} items, {SHOP.n_interactions:,} interactions"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
