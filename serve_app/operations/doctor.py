"""Defines the checks of ``recserve doctor`` and formats their results, one line per check."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from serve_app.errors import RecserveError, SchemaMismatch
from serve_app.operations.environment import is_free

PYTHON_FROM, PYTHON_BELOW = (3, 11), (3, 15)


class Outcome(StrEnum):
    """The result of a check in one word."""

    PASS = "PASS"
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True)
class Result:
    """``detail`` says what was found and, after a failure, what to do."""

    name: str
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: the subject of the check, in a few words.
        run: returns what was found. Raises :class:`Skipped`, :class:`Failed` or another
            :class:`RecserveError`; the message says what to do.
    """

    name: str
    run: Callable[[], str]


class Failed(Exception):
    """A check failed; the message says what to do."""


class Skipped(Exception):
    """A check does not apply; the message says why."""


def run_checks(checks: Sequence[Check]) -> list[Result]:
    """Run every check, in order; a failed check does not stop the later ones."""
    return [_result(check) for check in checks]


def format_results(results: Sequence[Result]) -> str:
    """Format one line per result, and a summary."""
    width = max((len(result.name) for result in results), default=0)
    lines = [f"{result.outcome}  {result.name.ljust(width)}  {result.detail}" for result in results]
    n_failed = sum(result.outcome is Outcome.FAIL for result in results)
    summary = f"{n_failed} of {len(results)} failed" if n_failed else "all is well"
    return "\n".join([*map(str.rstrip, lines), summary])


def _result(check: Check) -> Result:
    try:
        return Result(check.name, Outcome.PASS, check.run())
    except (Failed, RecserveError) as failure:
        return Result(check.name, Outcome.FAIL, str(failure))
    except Skipped as skipped:
        return Result(check.name, Outcome.SKIP, str(skipped))


def python_version(version: tuple[int, int] = sys.version_info[:2]) -> Check:
    """Check that recserve is tested on this version of Python."""

    def run() -> str:
        running = ".".join(map(str, version))
        if PYTHON_FROM <= version < PYTHON_BELOW:
            return running
        supported = f"{PYTHON_FROM[0]}.{PYTHON_FROM[1]} to {PYTHON_BELOW[0]}.{PYTHON_BELOW[1] - 1}"
        raise Failed(f"this is Python {running}: use {supported}")

    return Check("Python version", run)


def compiled_trees(is_compiled: bool) -> Check:
    """Check that scorers walk compiled trees; without a compiler they use XGBoost, only slower."""

    def run() -> str:
        if is_compiled:
            return "compiled"
        raise Skipped("scorers are ten times as slow: install a C compiler, then recserve again")

    return Check("model trees", run)


def config_keys(problems: Callable[[], Sequence[str]]) -> Check:
    """Check that ``problems`` (see :func:`serve_app.operations.lint.lint`) finds none."""

    def run() -> str:
        if faults := problems():
            raise Failed("; ".join(faults))
        return "every key is known, every value allowed"

    return Check("configuration", run)


def ports_free(ports: Mapping[int, str], is_ours: Callable[[], bool]) -> Check:
    """Check that no other program listens on the ports of this service.

    Args:
        ports: purpose by port.
        is_ours: returns whether this service already runs on this machine.
    """

    def run() -> str:
        taken = [f"{port} ({purpose})" for port, purpose in ports.items() if not is_free(port)]
        if not taken:
            return "free: " + ", ".join(map(str, ports))
        if is_ours():
            return f"in use by this service: {', '.join(taken)}"
        raise Failed(f"in use by something else: {', '.join(taken)}; stop it, or change the port")

    return Check("ports", run)


def environment_profile(environment: Mapping[str, str]) -> Check:
    """Check that the variables that Serve reads at its start agree with each other."""

    def run() -> str:
        def is_on(name: str) -> bool:
            return environment.get(name) == "1"

        is_direct = environment.get("RAY_SERVE_ENABLE_DIRECT_INGRESS", "1") == "1"
        if not is_on("RAY_SERVE_THROUGHPUT_OPTIMIZED"):
            return "Ray's own settings; the profile configs/fast.env is faster"
        if not is_on("RAY_SERVE_ENABLE_HA_PROXY") and is_direct:
            raise Failed(
                "RAY_SERVE_THROUGHPUT_OPTIMIZED=1 without RAY_SERVE_ENABLE_HA_PROXY=1 lets the head"
                " node alone answer: use all of configs/fast.env, or configs/safe.env"
            )
        return "the fast profile"

    return Check("RAY_SERVE_* variables", run)


def disk_writable(folder: Path, min_free_bytes: int) -> Check:
    """Check that ``folder`` can be written to and has enough room."""

    def run() -> str:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            reason = (
                f"{folder}: {error.strerror}: set RECSERVE_HOME to a folder that can be written"
            )
            raise Failed(reason) from error
        n_free = shutil.disk_usage(folder).free
        if n_free < min_free_bytes:
            needed = f"{min_free_bytes / 1e9:.1f} are needed: free some, or move RECSERVE_HOME"
            raise Failed(f"{folder}: {n_free / 1e9:.1f} GB free, {needed}")
        return f"{folder}: {n_free / 1e9:.1f} GB free"

    return Check("disk", run)


def schema_current(expected: int, read_version: Callable[[], int | None]) -> Check:
    """Check the schema of the database; ``read_version`` returns None where there is none."""

    def run() -> str:
        version = read_version()
        if version is None:
            raise Skipped("the database is empty: it is set up at the first `recserve load`")
        if version != expected:
            raise SchemaMismatch(expected, version)
        return f"version {version}"

    return Check("database schema", run)
