"""POST /events, on an ingress whose writer is in memory."""

import asyncio
import json

import pytest

from serve_app.domain.posts import NotWritten, Receipt, Refused
from serve_app.errors import StageFailed
from serve_app.loading.events import EventRules, check_posts
from serve_app.serving.config import AppConfig
from tests.support.in_process import PATIENT, Api

VIEW = {"user_id": "ann", "item_id": "pan", "type": "view"}


class Writer:
    """Keeps events as PostgreSQL would, by their ids."""

    def __init__(self):
        self.stored, self.calls, self.is_visible = {}, [], True

    async def __call__(self, batch):
        self.calls.append(batch)
        outcomes = []
        for post, rows in zip(
            batch.posts,
            check_posts(batch.posts, EventRules(), batch.posts[0].arrived_at),
            strict=True,
        ):
            if isinstance(rows, tuple):
                outcomes.append(Refused(rows))
                continue
            new = {row.event_id: row for row in rows if row.event_id not in self.stored}
            self.stored |= new
            outcomes.append(Receipt(len(new), len(post) - len(new), (), self.is_visible))
        return outcomes


@pytest.fixture
def writer():
    return Writer()


@pytest.fixture
def open_api(tmp_path):
    opened = []

    def of(write, **events):
        config = AppConfig.model_validate({"deadlines": PATIENT, "events": events})
        opened.append(Api(tmp_path / "bundles", config, write_events=write).__enter__())
        return opened[-1]

    yield of
    for each in opened:
        each.__exit__()


def post(api, body, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body)
    headers = {"content-type": "application/json"} | headers
    return api.run(api.client.post("/events", content=content, headers=headers))


def problems(response):
    assert response.status_code == 422
    return [(problem["loc"], problem["msg"]) for problem in response.json()["detail"]]


def test_answers_how_many_events_are_stored(open_api, writer):
    api = open_api(writer)

    first = post(api, [VIEW | {"event_id": "a"}, VIEW | {"event_id": "b"}])
    again = post(api, VIEW | {"event_id": "a"})

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == {"accepted": 2, "repeated": 0, "differing": [], "visible": "now"}
    assert again.json()["repeated"] == 1
    assert set(writer.stored) == {"a", "b"}


def test_says_for_how_long_a_cache_may_hide_an_event(open_api, writer):
    writer.is_visible = False

    assert post(open_api(writer), VIEW).json()["visible"] == "within 7200 s"


def test_a_bad_entry_is_named_and_nothing_of_its_list_is_stored(open_api, writer):
    api = open_api(writer)

    bad = post(api, [VIEW, VIEW | {"type": "rating"}, VIEW | {"user_id": 7}, {}])

    assert problems(bad) == [
        (["body", 1, "value"], "a rating without a value"),
        (["body", 2, "user_id"], "user_id must be text of 1 to 128 characters"),
        (["body", 3, "user_id"], "user_id is missing"),
    ]
    assert problems(post(api, VIEW | {"type": "wish"}))[0][0] == ["body", "type"]
    assert problems(post(api, [VIEW, VIEW | {"type": "rating"}]))[0][0] == ["body", 1, "value"]
    assert writer.stored == {}
    assert api.ingress.telemetry.flush(0).outcomes["none", "invalid"] == 3


def test_refuses_a_body_of_another_kind(open_api, writer):
    api = open_api(writer)

    for response in (
        post(api, b"["),
        post(api, []),
        post(api, VIEW, **{"content-type": "text/plain"}),
    ):
        assert problems(response)[0][0] == ["body"]
    assert post(api, VIEW, **{"content-type": "application/json; charset=utf-8"}).is_success


def test_bodies_of_events_may_be_longer_than_others(open_api, writer):
    api = open_api(writer)
    events = [VIEW | {"event_id": f"{i}", "request_id": "r" * 128} for i in range(1_000)]

    assert post(api, events).json()["accepted"] == 1_000
    assert post(api, b" " * 1_048_577).status_code == 413


def test_posts_that_wait_travel_together_and_one_does_not_fail_another(open_api, writer):
    api = open_api(writer, max_in_flight=1)

    async def all_posts():
        bodies = [VIEW, VIEW | {"event_id": "a"}, VIEW | {"type": "wish"}, VIEW | {"event_id": "b"}]
        headers = {"content-type": "application/json"}
        return await asyncio.gather(
            *(api.client.post("/events", json=body, headers=headers) for body in bodies)
        )

    statuses = [response.status_code for response in api.run(all_posts())]

    assert statuses == [202, 202, 422, 202]
    assert len(writer.calls) < 4


async def down(_):
    raise StageFailed("writer", "DeploymentUnavailableError")


async def away(batch):
    return [NotWritten("unreachable")] * len(batch.posts)


async def hang(_):
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    ("write", "reason"),
    [(down, "DeploymentUnavailableError"), (away, "unreachable"), (hang, "timed_out")],
)
def test_says_when_to_try_again_if_nothing_is_known_to_be_stored(open_api, write, reason):
    api = open_api(write, deadline_s=0.05, retry_after_s=3)

    response = post(api, [VIEW, VIEW])

    assert response.status_code == 503
    assert response.headers["retry-after"] == "3"
    assert reason in response.json()["detail"]
    api.ingress.telemetry.flush(0)
    assert api.counts.counters["recserve_events_refused_total", (reason,)] == 2


def test_refuses_posts_when_too_many_events_wait(open_api):
    api = open_api(hang, deadline_s=5, max_in_flight=1, max_waiting=3)

    async def crowd():
        first = [asyncio.create_task(api.client.post("/events", json=[VIEW] * 3)) for _ in "ab"]
        while not api.ingress._events._posts._waiting:
            await asyncio.sleep(0)
        refused = await api.client.post("/events", json=VIEW)
        for task in first:
            task.cancel()
        await asyncio.gather(*first, return_exceptions=True)
        return refused

    assert api.run(crowd()).status_code == 429
