"""Measures CPU time and memory of a service by kind of process."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_REPLICA = re.compile(r"^ray::ServeReplica:[^:]+:([\w-]+)")

_LABELS = (
    ("haproxy", "HAProxy"),
    ("ray::ServeController", "ServeController"),
    ("valkey-server", "Redis"),
    ("postgres", "PostgreSQL"),
    ("embedded.keeper", "the stores' keeper"),
)
"""Part of a command line and label; the first match counts."""


@dataclass(frozen=True, slots=True)
class Usage:
    """
    Attributes:
        n: processes.
        cpu_s: CPU time, user and system, since they started.
        pss_mb: proportional set size: each shared page is divided among its processes.
    """

    n: int
    cpu_s: float
    pss_mb: float


def label_of(command: Sequence[str], otherwise: str) -> str:
    """Label of a process by its command line."""
    line = " ".join(command)
    replica = replica_of(command)
    return replica or next((label for part, label in _LABELS if part in line), otherwise)


def replica_of(command: Sequence[str]) -> str | None:
    """Deployment of a replica's process; ``None`` for other processes."""
    found = _REPLICA.match(" ".join(command))
    return found.group(1) if found else None


def family(roots: Iterable[int]) -> list[psutil.Process]:
    """The processes that still run, with all their descendants."""
    found: dict[int, psutil.Process] = {}
    for pid in roots:
        try:
            root = psutil.Process(pid)
            found |= {each.pid: each for each in (root, *root.children(recursive=True))}
        except psutil.NoSuchProcess:
            continue
    return list(found.values())


def keepers(home: Path) -> list[int]:
    """Process ids of the keepers of a home folder's embedded stores."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if str(home) in (process.info["cmdline"] or ()) and "keeper" in " ".join(process.cmdline())
    ]


def usage(
    processes: Iterable[psutil.Process], otherwise: str, *, with_memory: bool = False
) -> dict[str, Usage]:
    """
    Measure processes by label.

    Args:
        otherwise: label of processes with an unknown command line.
        with_memory: measure memory, too. It is slow: the kernel walks every page table.
    """
    counts: Counter[str] = Counter()
    cpu_s: defaultdict[str, float] = defaultdict(float)
    pss_mb: defaultdict[str, float] = defaultdict(float)
    for process in processes:
        try:
            label = label_of(process.cmdline(), otherwise)
            times = process.cpu_times()
            memory = process.memory_full_info().pss / 1e6 if with_memory else 0.0
        except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            continue
        counts[label] += 1
        cpu_s[label] += times.user + times.system
        pss_mb[label] += memory
    return {label: Usage(counts[label], cpu_s[label], pss_mb[label]) for label in counts}


def cpu_ms_per_request(
    before: Mapping[str, Usage], after: Mapping[str, Usage], n_requests: int
) -> dict[str, float]:
    """CPU milliseconds by label, largest first; labels without CPU time are left out."""
    spent = {
        label: 1e3 * (now.cpu_s - (before[label].cpu_s if label in before else 0)) / n_requests
        for label, now in after.items()
    }
    return dict(sorted(((k, v) for k, v in spent.items() if v > 0), key=lambda each: -each[1]))
