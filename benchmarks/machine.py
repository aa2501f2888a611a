"""On what was measured."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from benchmarks.home import ROOT, SHOP

_PACKAGES = ("ray", "numpy", "xgboost-cpu", "redis", "psycopg", "fastapi", "uvicorn")


def facts() -> str:
    """Cores, versions and the shop, on one line."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    shop = f"{SHOP.n_users:,} users, {SHOP.n_items:,} items, {SHOP.n_interactions:,} interactions"
    return (
        f"{len(os.sched_getaffinity(0))} cores ({_processor()}) · Python"
        f" {platform.python_version()}, {packages} · {shop} · commit {_commit()}"
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
