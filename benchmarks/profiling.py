"""Profiles each process with py-spy, one after the other, under load."""

import subprocess
import sys
import sysconfig
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.home import ROOT
from benchmarks.processes import replica_of
from benchmarks.serving import Running
from benchmarks.stopping import BenchmarkFailed
from benchmarks.wrk import run_wrk

RATE_HZ = 200

WAITING = (
    "_worker",
    "Thread.run",
    "Worker.main_loop",
    "Condition.wait",
    "Lease.wait_lost",
    "select",
)
"""Innermost functions of waiting threads, which py-spy takes for busy on some kernels."""

N_TOP = 10

_OUTER = ("<module>", "Thread._bootstrap", "_bootstrap", "Handle._run", "BaseEventLoop", "Runner")


@dataclass(frozen=True, slots=True)
class Profile:
    """
    Samples of one process in which it ran on a CPU.

    Attributes:
        busy: share of a core that Python code used.
        own: share of the busy samples by innermost function.
        total: share of the busy samples by function, with the functions it called.
    """

    busy: float
    own: Mapping[str, float]
    total: Mapping[str, float]

    def inner(self) -> dict[str, float]:
        """``total`` without the outermost frames: the event loop and its starters."""
        return {name: share for name, share in self.total.items() if not name.startswith(_OUTER)}

    def top(self, shares: Mapping[str, float], n: int = N_TOP) -> list[tuple[str, float]]:
        return sorted(shares.items(), key=lambda each: -each[1])[:n]


def profile_of(stacks: Iterable[str], duration_s: float) -> Profile:
    """
    Args:
        stacks: lines of ``py-spy record --format raw``: frames, outermost first, and a count.
    """
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    n = 0
    for line in stacks:
        frames, _, count = line.rpartition(" ")
        names = [shortened(frame) for frame in frames.split(";") if not _is_thread(frame)]
        if not names or names[-1].split(" (")[0].split(".<locals>")[0] in WAITING:
            continue
        n += int(count)
        own[names[-1]] += int(count)
        total.update(dict.fromkeys(names, int(count)))
    if not n:
        return Profile(0.0, {}, {})
    return Profile(
        n / (duration_s * RATE_HZ),
        {name: each / n for name, each in own.items()},
        {name: each / n for name, each in total.items()},
    )


def shortened(frame: str) -> str:
    """Frame with its path relative to the project or the installed packages."""
    for prefix in (f"{ROOT}/", f"{sysconfig.get_path('purelib')}/"):
        frame = frame.replace(prefix, "")
    return frame


def profiles(running: Running, users: Path, connections: int, seconds: int) -> dict[str, Profile]:
    """Profile every replica while wrk keeps the service busy; by deployment."""
    pids = {
        name: process.pid
        for process in running.processes()
        if (name := replica_of(process.cmdline())) is not None
    }
    duration_s = (seconds + 3) * len(pids) + 5
    with _beside(
        lambda: run_wrk(running.url, users, connections=connections, duration_s=duration_s)
    ):
        return {name: _record(pid, seconds) for name, pid in sorted(pids.items())}


def _record(pid: int, seconds: int) -> Profile:
    with TemporaryDirectory() as folder:
        output = Path(folder) / "stacks"
        options = ["--pid", str(pid), "--duration", str(seconds), "--rate", str(RATE_HZ)]
        form = ["--format", "raw", "--function", "--output", str(output)]
        command = [str(Path(sys.executable).with_name("py-spy")), "record", *options, *form]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not output.exists():
            raise BenchmarkFailed(f"py-spy wrote no samples: {done.stderr.strip()[-300:]}")
        return profile_of(output.read_text().splitlines(), seconds)


@contextmanager
def _beside(call: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _is_thread(frame: str) -> bool:
    return frame.startswith(("thread (", "process "))
