"""Makes coroutine functions of the stages' methods, in this process or behind a Serve handle."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from ray.exceptions import ActorDiedError, ActorUnavailableError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from serve_app.errors import StageFailed

_logger = logging.getLogger("ray.serve.recserve.graph")

Call = Callable[[Any], Coroutine[Any, Any, Any]]
Holds = Callable[[str], Coroutine[Any, Any, bool]]


def make_call(stage: str, method: DeploymentHandle[Any] | Call) -> Call:
    """Wraps a stage's method in a function that raises ``StageFailed`` and nothing else."""
    if not isinstance(method, DeploymentHandle):
        return make_local_call(stage, method)
    return make_remote_call(stage, method)


def make_local_call(stage: str, method: Call) -> Call:
    """Calls a stage in this process."""

    async def ask(argument: Any) -> Any:
        try:
            return await method(argument)
        # As from another process, a bug in a stage degrades the answer instead of failing it.
        except Exception as error:
            raise StageFailed(stage, _reason(stage, error)) from error

    return ask


def make_remote_call(stage: str, method: DeploymentHandle[Any]) -> Call:
    """Calls a stage that is a deployment; once more if the replica dies during the call."""
    # Pickle is faster than Serve's default, cloudpickle, and batches are plain arrays.
    method = method.options(request_serialization="pickle", response_serialization="pickle")

    async def ask(argument: Any) -> Any:
        try:
            try:
                return await method.remote(argument)
            except _LOST:
                # Serve itself does not repeat the call. Stages only read: a second call is safe.
                # The deadline of the pipeline bounds both calls together.
                return await method.remote(argument)
        except Exception as error:
            raise StageFailed(stage, _reason(stage, error)) from error

    return ask


ASK_S = 2.0
"""Longest time for the answers of all replicas of a stage."""


def make_holds(stage: str, opened: DeploymentHandle[Any] | Any) -> Holds:
    """Makes the question whether all replicas of a stage have opened a version."""
    if not isinstance(opened, DeploymentHandle):
        holds: Holds = opened.holds
        return holds
    return make_remote_holds(stage, opened)


def make_remote_holds(stage: str, handle: DeploymentHandle[Any]) -> Holds:
    """Asks every replica of a stage, not the one that a call would be sent to.

    A stage that cannot be asked counts as one that has opened the version: it may be down, and a
    new replica opens the version before it takes requests.
    """

    async def ask(version: str) -> bool:
        try:
            answers = await handle.broadcast("holds", version).results_async(timeout_s=ASK_S)
        except TimeoutError:
            return False
        except Exception as error:
            _logger.info("%s is not waited for: %s", stage, _reason(stage, error))
            return True
        return all(answers)

    return ask


_LOST = (ActorDiedError, ActorUnavailableError)
_WITHOUT_REPLICA = (*_LOST, DeploymentUnavailableError, BackPressureError)


def _reason(stage: str, error: Exception) -> str:
    """Names the reason of a failure for the pipeline; logs an unexpected error."""
    if isinstance(error, StageFailed):
        return error.reason
    if isinstance(error, _WITHOUT_REPLICA):
        return type(error).__name__
    # A bug. The caller sees the word "error" alone: its text may hold data.
    _logger.error("%s failed unexpectedly", stage, exc_info=error)
    return "error"
