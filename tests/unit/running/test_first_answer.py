import json

import pytest
import requests

from serve_app.running.first_answer import first_answer, ready_message

URL = "http://127.0.0.1:8000"
ANSWER = {
    "user_id": "u1",
    "request_id": "r1",
    "recommendations": [
        {
            "item_id": "i7",
            "score": 0.9,
            "reason": "Popular now",
            "metadata": {"title": "Oak board"},
        },
        {"item_id": "i12", "score": 0.8, "reason": "New", "metadata": None},
    ],
    "model_used": "main",
    "model_version": "20261101-740eeeee",
    "cached": False,
    "degraded": [],
}


@pytest.fixture
def service(monkeypatch):
    """Replaces the running service: records requests and returns an answer that the test sets."""

    class FakeService:
        def __init__(self):
            self.bodies = []
            self.answer, self.status = ANSWER, 200

        def post(self, url, json, timeout):
            assert url == f"{URL}/recommendations"
            self.bodies.append(json)
            if isinstance(self.answer, Exception):
                raise self.answer
            response = requests.Response()
            response.status_code, response.url = self.status, url
            response._content = self.text().encode()
            return response

        def text(self):
            return self.answer if isinstance(self.answer, str) else json.dumps(self.answer)

    fake = FakeService()
    monkeypatch.setattr(requests, "post", fake.post)
    return fake


def test_asks_once_and_shows_the_items_in_their_order(service):
    assert first_answer(URL, "u1").splitlines() == [
        "recommendations for user u1, variant main:",
        "   item  title      reason",
        "1  i7    Oak board  Popular now",
        "2  i12              New",
    ]
    assert service.bodies == [{"user_id": "u1", "n": 5, "include_metadata": True}]


def test_names_the_stages_that_were_replaced(service):
    service.answer = ANSWER | {"degraded": ["features", "ranker"]}

    assert "(degraded: features, ranker; see docs/runbook.md)" in first_answer(URL, "u1")


def test_says_that_there_is_nothing_to_recommend(service):
    service.answer = ANSWER | {"recommendations": [], "degraded": ["bundle"]}

    assert first_answer(URL, "u1") == (
        "there is nothing to recommend to user u1 yet (degraded: bundle; see docs/runbook.md):"
        " run `recserve fit`"
    )


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (requests.ConnectionError("refused"), 200, "refused"),
        ({"detail": "overloaded"}, 429, "429 Client Error"),
        ("<html>", 200, "Expecting value"),
        ({"status": "ok"}, 200, "the answer is not one of recserve's"),
    ],
)
def test_says_why_the_first_request_failed(service, answer, status, reason):
    service.answer, service.status = answer, status

    message = first_answer(URL, "u1")

    assert message.startswith("the first request for user u1 failed: ")
    assert reason in message
    assert message.endswith("see `recserve status`")


def test_the_ready_message_has_the_address_a_request_for_a_shell_and_an_answer(service):
    message = ready_message(URL, "u1")

    assert f"{URL}/docs" in message
    assert """-d '{"user_id": "u1"}'""" in message
    assert message.endswith(first_answer(URL, "u1"))


def test_the_request_survives_a_user_id_with_a_quote(service):
    assert """-d '{"user_id": "o'"'"'brien"}'""" in ready_message(URL, "o'brien")
