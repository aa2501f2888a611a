"""Tests which requests go past FastAPI, and that nobody outside can tell."""

import json

import pytest

from serve_app.http.hot_route import HotRoute
from tests.support.in_process import Api
from tests.support.small_bundles import publish_world

QUESTION = {"user_id": "u000001", "n": 5}


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    root = tmp_path_factory.mktemp("published") / "bundles"
    version = publish_world(root).version
    with Api(root) as opened:
        yield opened.until_in_use(version)


@pytest.fixture
def passed_on(monkeypatch):
    """Paths that went to FastAPI."""
    found = []
    whole = HotRoute.__call__

    async def watched(self, scope, receive, send):
        async def api(scope, receive, send):
            found.append(scope["path"])
            await self._api(scope, receive, send)

        await whole(HotRoute(api, self._answer, self._shed), scope, receive, send)

    monkeypatch.setattr(HotRoute, "__call__", watched)
    return found


def test_a_question_goes_past_fastapi(api, passed_on):
    assert api.ask(**QUESTION)["user_id"] == "u000001"
    assert passed_on == []


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "application/vnd.shop+json", "Application/JSON"]
)
def test_another_way_to_say_json_gets_the_same_answer(api, passed_on, kind):
    answer = api.post(QUESTION, headers={"content-type": kind})

    assert answer.json()["recommendations"] == api.ask(**QUESTION)["recommendations"]
    assert passed_on == ["/recommendations"]


def test_a_body_in_pieces_goes_past_fastapi_too(api, passed_on):
    async def pieces():
        yield json.dumps(QUESTION)[:9].encode()
        yield json.dumps(QUESTION)[9:].encode()

    answer = api.post(content=pieces(), headers={"content-type": "application/json"})

    assert answer.json()["recommendations"] == api.ask(**QUESTION)["recommendations"]
    assert passed_on == []


def test_both_ways_send_the_same_headers(api):
    other = {"content-type": "application/json; charset=utf-8", "x-request-id": "r-1"}
    short = {"content-type": "application/json", "x-request-id": "r-1"}
    api.ask(**QUESTION)

    past, through = (api.post(QUESTION, headers=each) for each in (short, other))

    assert dict(past.headers) == dict(through.headers)
    assert past.content == through.content


def test_what_is_wrong_goes_to_fastapi(api, passed_on):
    assert api.post({"user_id": ""}).status_code == 422
    assert api.post({**QUESTION, "model_name": "best"}).status_code == 422
    assert api.get("/health").status_code == 200
    assert passed_on == ["/recommendations", "/recommendations", "/health"]
