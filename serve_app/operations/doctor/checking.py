"""Defines the checks of ``recserve doctor`` and formats their results, one line per check."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial, wraps
from pathlib import Path
from typing import ParamSpec

from serve_app.errors import RecserveError, SchemaMismatch
from serve_app.running.environment import is_free

PYTHON_FROM, PYTHON_BELOW = (3, 11), (3, 15)

Arguments = ParamSpec("Arguments")


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
    """One check of ``recserve doctor``.

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
    """Runs every check, in order; a failed check does not stop the later ones."""
    results: list[Result] = []
    first: dict[str, str] = {}
    for check in checks:
        result = _result(check)
        if result.outcome is Outcome.FAIL and result.detail in first:
            # One fault is one failure, however many checks meet it.
            result = Result(check.name, Outcome.SKIP, f"as for {first[result.detail]!r}")
        elif result.outcome is Outcome.FAIL:
            first[result.detail] = check.name
        results.append(result)
    return results


def format_results(results: Sequence[Result]) -> str:
    """Formats one line per result, and a summary."""
    width = max((len(result.name) for result in results), default=0)
    lines = [f"{result.outcome}  {result.name.ljust(width)}  {result.detail}" for result in results]
    n_failed = sum(result.outcome is Outcome.FAIL for result in results)
    summary = f"{n_failed} of {len(results)} failed" if n_failed else "all is well"
    return "\n".join([*map(str.rstrip, lines), summary])


def _result(check: Check) -> Result:
    try:
        return Result(check.name, Outcome.PASS, check.run())
    # OSError: a file or address on this machine that is not as it should be.
    except (Failed, RecserveError, OSError) as failure:
        return Result(check.name, Outcome.FAIL, str(failure))
    except Skipped as skipped:
        return Result(check.name, Outcome.SKIP, str(skipped))


def check_of(name: str) -> Callable[[Callable[Arguments, str]], Callable[Arguments, Check]]:
    """Turns a function that checks at once into one that returns the check, to be run later."""

    def decorate(run: Callable[Arguments, str]) -> Callable[Arguments, Check]:
        @wraps(run)
        def make(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Check:
            return Check(name, partial(run, *args, **kwargs))

        return make

    return decorate


@check_of("Python version")
def python_version(version: tuple[int, int]) -> str:
    """Checks that recserve is tested on this version of Python."""
    running = ".".join(map(str, version))
    if PYTHON_FROM <= version < PYTHON_BELOW:
        return running
    supported = f"{PYTHON_FROM[0]}.{PYTHON_FROM[1]} to {PYTHON_BELOW[0]}.{PYTHON_BELOW[1] - 1}"
    raise Failed(f"this is Python {running}: use {supported}")


@check_of("model trees")
def compiled_trees(is_compiled: bool) -> str:
    """Checks that scorers walk compiled trees; without a compiler they use XGBoost, only slower."""
    if is_compiled:
        return "compiled"
    raise Skipped("scorers are ten times as slow: install a C compiler, then recserve again")


@check_of("configuration")
def config_keys(problems: Callable[[], Sequence[str]]) -> str:
    """Checks that ``problems`` (see :func:`serve_app.operations.config_lint.lint`) finds none."""
    if faults := problems():
        raise Failed("; ".join(faults))
    return "every key is known, every value allowed"


@check_of("ports")
def ports_free(ports: Mapping[int, str], is_ours: Callable[[], bool]) -> str:
    """Checks that no other program listens on the ports of this service.

    Args:
        ports: purpose by port.
        is_ours: returns whether this service already runs on this machine.
    """
    taken = [f"{port} ({purpose})" for port, purpose in ports.items() if not is_free(port)]
    if not taken:
        return "free: " + ", ".join(map(str, ports))
    if is_ours():
        return f"in use by this service: {', '.join(taken)}"
    raise Failed(f"in use by something else: {', '.join(taken)}; stop it, or change the port")


@check_of("RAY_SERVE_* variables")
def environment_profile(environment: Mapping[str, str]) -> str:
    """Checks that the variables that Serve reads at its start agree with each other."""
    if environment.get("RAY_SERVE_THROUGHPUT_OPTIMIZED") != "1":
        return "Ray's own settings; the profile configs/fast.env is faster"
    is_direct = environment.get("RAY_SERVE_ENABLE_DIRECT_INGRESS", "1") == "1"
    if is_direct and environment.get("RAY_SERVE_ENABLE_HA_PROXY") != "1":
        raise Failed(
            "RAY_SERVE_THROUGHPUT_OPTIMIZED=1 without RAY_SERVE_ENABLE_HA_PROXY=1 lets the head"
            " node alone answer: use all of configs/fast.env, or configs/safe.env"
        )
    return "the fast profile"


@check_of("disk")
def disk_writable(folder: Path, min_free_bytes: int) -> str:
    """Checks that ``folder`` can be written to and has enough room."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        advice = "set RECSERVE_HOME to a folder that can be written"
        raise Failed(f"{folder}: {error.strerror}: {advice}") from error
    n_free = shutil.disk_usage(folder).free
    free = f"{folder}: {n_free / 1e9:.1f} GB free"
    if n_free < min_free_bytes:
        needed = f"{min_free_bytes / 1e9:.1f} are needed: free some, or move RECSERVE_HOME"
        raise Failed(f"{free}, {needed}")
    return free


@check_of("database schema")
def schema_current(expected: int, read_version: Callable[[], int | None]) -> str:
    """Checks the schema of the database; ``read_version`` returns None where there is none."""
    version = read_version()
    if version is None:
        raise Skipped("the database is empty: it is set up at the first `recserve load`")
    if version != expected:
        raise SchemaMismatch(expected, version)
    return f"version {version}"
