"""The wiring, as far as it needs no cluster."""

import asyncio
import pickle
from functools import partial

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve._private.common import DeploymentID
from ray.serve.exceptions import DeploymentUnavailableError

from serve_app.app import build_app, calls_of, local, remote
from serve_app.errors import StageFailed
from serve_app.serving.config import AppConfig
from tests.support.in_process import bug, down, logged

ALL_IN_INGRESS = AppConfig.model_validate(
    {"placement": dict.fromkeys(("features", "candidates", "scoring", "ranking"), "ingress")}
)


def arguments_of_ingress(config):
    return build_app(config)._bound_deployment.init_args


def placed_by(config):
    [placed] = [each for each in arguments_of_ingress(config) if isinstance(each, dict)]
    return placed


@pytest.fixture(autouse=True)
def stores_elsewhere(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://nowhere")
    monkeypatch.setenv("REDIS_URL", "redis://nowhere")


def test_each_stage_is_a_deployment_unless_told():
    assert not any(isinstance(stage, partial) for stage in placed_by(AppConfig()).values())


def test_a_stage_that_is_placed_in_the_ingress_travels_there_as_what_makes_it():
    config = AppConfig.model_validate({"placement": {"scoring": "ingress"}})

    inside = {name for name, stage in placed_by(config).items() if isinstance(stage, partial)}

    assert inside == {"Scorer-main", "Scorer-challenger"}


def test_stages_of_one_process_share_its_stores():
    _, stores, _, placed, _ = pickle.loads(pickle.dumps(arguments_of_ingress(ALL_IN_INGRESS)))

    assert placed["FeatureFetcher"].args[0] is stores
    assert placed["CandidateGenerator"].args[0] is stores


def test_a_process_opens_stores_of_its_own():
    _, stores, *_ = arguments_of_ingress(ALL_IN_INGRESS)

    here, there = stores.cache, pickle.loads(pickle.dumps(stores)).cache

    assert here is stores.cache
    assert there is not here


def test_every_stage_can_be_called_in_one_process():
    calls = calls_of(placed_by(ALL_IN_INGRESS))

    assert set(calls.stages.scorers) == {"main", "challenger"}


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
    ask = local("ranker", method) if here else remote("ranker", handle)

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
        asyncio.run(remote("ranker", Handle(error))(None))

    assert failed.value.__cause__ is error


def test_a_stage_without_replicas_is_named_so():
    gone = DeploymentUnavailableError(DeploymentID("Ranker", "recserve"))

    with pytest.raises(StageFailed, match="ranker: DeploymentUnavailableError"):
        asyncio.run(remote("ranker", Handle(gone))(None))


def test_when_a_replica_dies_with_a_question_another_is_asked_once():
    assert asyncio.run(remote("ranker", Handle(ActorDiedError(), "answer"))(None)) == "answer"

    with pytest.raises(StageFailed, match="ranker: ActorDiedError"):
        asyncio.run(remote("ranker", Handle(ActorDiedError(), ActorDiedError(), "late"))(None))
