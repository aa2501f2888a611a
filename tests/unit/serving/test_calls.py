"""Calls of stages, as far as they need no cluster."""

import asyncio

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve._private.common import DeploymentID
from ray.serve.exceptions import DeploymentUnavailableError

from serve_app.errors import StageFailed
from serve_app.serving.calls import make_holds, make_local_call, make_remote_call, make_remote_holds
from tests.support.in_process import bug, down, logged


class Handle:
    """Of a deployment whose replicas answer one after the other; an error is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def options(self, **_):
        return self

    async def remote(self, _):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def failed_elsewhere(error):
    """As Ray raises what a replica has raised."""
    return RayTaskError("find", "a traceback", error).as_instanceof_cause()


@pytest.mark.parametrize("here", [True, False], ids=["here", "elsewhere"])
@pytest.mark.parametrize(("method", "reason"), [(down, "connection_refused"), (bug, "error")])
def test_whatever_goes_wrong_in_a_stage_is_that_stages_failure(here, method, reason):
    async def elsewhere(argument):
        try:
            await method(argument)
        except Exception as error:
            await Handle(failed_elsewhere(error)).remote(argument)

    handle = Handle()
    handle.remote = elsewhere
    ask = make_local_call("ranker", method) if here else make_remote_call("ranker", handle)

    with pytest.raises(StageFailed) as failed, logged("ray.serve.recserve.graph") as records:
        asyncio.run(ask(None))

    assert (failed.value.stage, failed.value.reason) == ("ranker", reason)
    assert [issubclass(record.exc_info[0], ZeroDivisionError) for record in records] == [True] * (
        method is bug
    )


@pytest.mark.parametrize(
    "error",
    [AioRpcError(StatusCode.RESOURCE_EXHAUSTED, Metadata(), Metadata()), RuntimeError("of Serve")],
    ids=["too large for gRPC", "unexpected"],
)
def test_what_the_transport_raises_is_the_stages_failure_too(error):
    with pytest.raises(StageFailed, match="ranker: error") as failed:
        asyncio.run(make_remote_call("ranker", Handle(error))(None))

    assert failed.value.__cause__ is error


def test_a_stage_without_replicas_is_named_so():
    gone = DeploymentUnavailableError(DeploymentID("Ranker", "recserve"))

    with pytest.raises(StageFailed, match="ranker: DeploymentUnavailableError"):
        asyncio.run(make_remote_call("ranker", Handle(gone))(None))


def test_when_a_replica_dies_with_a_question_another_is_asked_once():
    assert (
        asyncio.run(make_remote_call("ranker", Handle(ActorDiedError(), "answer"))(None))
        == "answer"
    )

    with pytest.raises(StageFailed, match="ranker: ActorDiedError"):
        asyncio.run(
            make_remote_call("ranker", Handle(ActorDiedError(), ActorDiedError(), "late"))(None)
        )


class Replicas:
    """A handle that asks all replicas: each gives its answer, or an error is raised."""

    def __init__(self, *answers):
        self.answers, self.asked = answers, []

    def broadcast(self, method, argument):
        self.asked.append((method, argument))
        return self

    async def results_async(self, *, timeout_s):
        for answer in self.answers:
            if isinstance(answer, Exception):
                raise answer
        return list(self.answers)


@pytest.mark.parametrize(
    ("answers", "has_it"),
    [
        ((True, True), True),
        ((True, False), False),
        ((True, TimeoutError()), False),
        ((True, ActorDiedError()), True),
        ((DeploymentUnavailableError(DeploymentID("Ranker", "recserve")),), True),
        ((RuntimeError("of Serve"),), True),
    ],
)
def test_a_stage_has_a_version_when_all_replicas_that_can_be_asked_have_it(answers, has_it):
    replicas = Replicas(*answers)

    assert asyncio.run(make_remote_holds("ranker", replicas)("v")) is has_it
    assert replicas.asked == [("holds", "v")]


def test_a_stage_in_this_process_is_asked_itself():
    class Stage:
        async def holds(self, version):
            return version == "v"

    assert asyncio.run(make_holds("ranker", Stage())("v"))
