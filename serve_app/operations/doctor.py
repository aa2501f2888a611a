"""Is everything in place? One line per check, and what to do where it is not."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from serve_app.errors import RecserveError, SchemaMismatch
from serve_app.operations.ports import is_free

PYTHON_FROM, PYTHON_BELOW = (3, 11), (3, 14)


class Outcome(StrEnum):
    """How a check ended."""

    PASS = "PASS"
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True)
class Result:
    """``detail`` is what was found and, of a failure, what to do."""

    name: str
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True)
class Check:
    """
    One question.

    Attributes:
        name: what is asked, in a few words.
        run: answers with what was found. Raises :class:`Failed`, :class:`Skipped` or any
            :class:`RecserveError`, whose sentence then says what to do.
    """

    name: str
    run: Callable[[], str]


class Failed(Exception):
    """A check's answer is no; the message says what to do."""


class Skipped(Exception):
    """A check has nothing to ask here; the message says why."""


def run_checks(checks: Sequence[Check]) -> list[Result]:
    """One result per check, in order. A check that fails does not stop the ones after it."""
    return [_result(check) for check in checks]


def format_results(results: Sequence[Result]) -> str:
    """One line per result, for a terminal, and a count."""
    width = max((len(result.name) for result in results), default=0)
    lines = [f"{one.outcome}  {one.name.ljust(width)}  {one.detail}".rstrip() for one in results]
    n_failed = sum(result.outcome is Outcome.FAIL for result in results)
    return "\n".join(
        [*lines, f"{n_failed} of {len(results)} failed" if n_failed else "all is well"]
    )


def _result(check: Check) -> Result:
    try:
        return Result(check.name, Outcome.PASS, check.run())
    except (Failed, RecserveError) as failure:
        return Result(check.name, Outcome.FAIL, str(failure))
    except Skipped as skipped:
        return Result(check.name, Outcome.SKIP, str(skipped))


def python_version(version: tuple[int, int] = sys.version_info[:2]) -> Check:
    """The interpreter is one that recserve is tested on."""

    def run() -> str:
        found = ".".join(map(str, version))
        if PYTHON_FROM <= version < PYTHON_BELOW:
            return found
        wanted = f"{PYTHON_FROM[0]}.{PYTHON_FROM[1]} to {PYTHON_BELOW[0]}.{PYTHON_BELOW[1] - 1}"
        raise Failed(f"this is Python {found}: use {wanted}")

    return Check("Python version", run)


def compiled_trees(is_compiled: bool) -> Check:
    """Scorers have the compiled form of the trees; without it they answer as well, but slower."""

    def run() -> str:
        if is_compiled:
            return "compiled"
        raise Skipped("no C compiler when recserve was installed: scorers take ten times as long")

    return Check("model trees", run)


def config_keys(problems: Callable[[], Sequence[str]]) -> Check:
    """``problems`` (see :func:`serve_app.operations.lint.lint`) finds nothing."""

    def run() -> str:
        if found := problems():
            raise Failed("; ".join(found))
        return "every key is known, every value allowed"

    return Check("configuration", run)


def ports_free(ports: Mapping[int, str], is_ours: Callable[[], bool]) -> Check:
    """
    Nothing but this service listens where it has to.

    Args:
        ports: purpose by port.
        is_ours: whether the service runs on this machine already.
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
    """The variables that Serve reads at its start do not contradict each other."""

    def run() -> str:
        def is_on(name: str) -> bool:
            return environment.get(name) == "1"

        is_direct = environment.get("RAY_SERVE_ENABLE_DIRECT_INGRESS", "1") == "1"
        if not is_on("RAY_SERVE_THROUGHPUT_OPTIMIZED"):
            return "Ray's own settings; configs/fast.env makes it faster"
        if not is_on("RAY_SERVE_ENABLE_HA_PROXY") and is_direct:
            raise Failed(
                "RAY_SERVE_THROUGHPUT_OPTIMIZED=1 without RAY_SERVE_ENABLE_HA_PROXY=1 lets the head"
                " node alone answer: use all of configs/fast.env, or configs/safe.env"
            )
        return "the fast profile"

    return Check("RAY_SERVE_* variables", run)


def disk_writable(folder: Path, min_free_bytes: int) -> Check:
    """``folder`` can be written to and has that much room."""

    def run() -> str:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise Failed(f"{folder}: {error.strerror}") from error
        n_free = shutil.disk_usage(folder).free
        if n_free < min_free_bytes:
            raise Failed(f"{folder}: {n_free / 1e9:.1f} GB free, needs {min_free_bytes / 1e9:.1f}")
        return f"{folder}: {n_free / 1e9:.1f} GB free"

    return Check("disk", run)


def store_reachable(name: str, ping: Callable[[], str]) -> Check:
    """``ping`` gets an answer, e.g. a version, and raises StoreUnavailable when it gets none."""
    return Check(f"{name} answers", ping)


def schema_current(expected: int, found: Callable[[], int | None]) -> Check:
    """The database has the schema of this build; ``found`` is None for a database without one."""

    def run() -> str:
        version = found()
        if version is None:
            raise Skipped("the database is empty: it is set up at the first `recserve load`")
        if version != expected:
            raise SchemaMismatch(expected, version)
        return f"version {version}"

    return Check("database schema", run)


def bundle_whole(verify: Callable[[], str]) -> Check:
    """``verify`` compares every file with its sha256, gives the version, raises BundleError."""
    return Check("bundle is whole", verify)
