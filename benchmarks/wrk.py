"""Runs wrk, a closed loop: each open connection has one request in flight."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.stopping import BenchmarkFailed

SCRIPT = Path(__file__).with_suffix(".lua")
MISSING = "wrk is not installed (Debian: apt-get install wrk): the closed loops need it"


@dataclass(frozen=True, slots=True)
class ClosedRun:
    """
    Result of one run of wrk.

    Attributes:
        n_failed: lost connections, timeouts and answers with neither 200 nor 429.
        n_refused: answers with 429.
        n_degraded: answers with a replaced stage.
        n_cached: answers from the cache.
    """

    duration_s: float
    n_answers: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    n_failed: int
    n_refused: int
    n_degraded: int
    n_cached: int

    @property
    def throughput(self) -> float:
        """Good answers per second."""
        return (self.n_answers - self.n_failed - self.n_refused) / self.duration_s


def is_installed() -> bool:
    return shutil.which("wrk") is not None


def run_wrk(
    url: str,
    users: Path,
    *,
    connections: int,
    duration_s: int,
    path: str = "/recommendations",
    n: int = 10,
    skip: int = 0,
    is_repeated: bool = False,
) -> ClosedRun:
    """
    Args:
        users: file with one user id per line.
        n: recommendations per request.
        skip: users to leave out at the start.
        is_repeated: start again when all users were requested.

    Raises:
        BenchmarkFailed: wrk is missing, or ended without a result.
    """
    if not is_installed():
        raise BenchmarkFailed(MISSING)
    options = ["-t1", f"-c{connections}", f"-d{duration_s}s", "--timeout", "20s"]
    script = ["-s", str(SCRIPT), url, "--", str(users), path, str(n), str(skip)]
    command = ["wrk", *options, *script, "0" if is_repeated else "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkFailed(f"wrk ended with {done.returncode}: {done.stderr.strip()}")
    return parse(done.stdout)


def parse(output: str) -> ClosedRun:
    """
    Parse the line of JSON that ``wrk.lua`` writes at the end.

    Raises:
        BenchmarkFailed: there is no such line.
    """
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise BenchmarkFailed(f"wrk gave no result: {output.strip()[-500:]}")
    return ClosedRun(**json.loads(lines[-1]))
