import json

import pytest
import requests

from serve_app.errors import ServiceUnreachable
from serve_app.simulation.shop_service import Event, Listed, ShopService

EVENT = Event("e1", "ann", "pan", "click", 5.0, "s1", "r1", 2)


class Answers:
    """Answers every request with one status and body, and keeps what was sent."""

    def __init__(self, status=200, body=b"{}"):
        self.status, self.body, self.sent = status, body, []

    def request(self, method, url, **options):
        self.sent.append((method, url, options["json"]))
        response = requests.Response()
        response.status_code, response._content, response.url = self.status, self.body, url
        return response


@pytest.fixture
def answers(monkeypatch):
    def install(**content):
        there = Answers(**content)
        monkeypatch.setattr(requests.Session, "request", there.request)
        return there

    return install


def test_reads_the_items_and_the_name_of_an_answer(answers):
    body = {"recommendations": [{"item_id": "pan"}, {"item_id": "pot"}], "request_id": "r1"}
    there = answers(body=json.dumps(body).encode())

    assert ShopService("http://shop/").recommend("ann", 2) == Listed(("pan", "pot"), "r1")
    assert there.sent == [("POST", "http://shop/recommendations", {"user_id": "ann", "n": 2})]


def test_reports_at_most_a_thousand_events_at_once(answers):
    there = answers(status=202)

    ShopService("http://shop").report([EVENT] * 2_300)

    assert [len(body) for _, _, body in there.sent] == [1_000, 1_000, 300]
    assert there.sent[0][2][0] == {
        "event_id": "e1",
        "user_id": "ann",
        "item_id": "pan",
        "type": "click",
        "timestamp": 5.0,
        "session_id": "s1",
        "request_id": "r1",
        "position": 2,
    }


def test_reports_nothing_without_events(answers):
    there = answers()

    ShopService("http://shop").report([])

    assert there.sent == []


@pytest.mark.parametrize(
    "content", [{"status": 503}, {"body": b"<html>"}], ids=["a failure", "no JSON"]
)
def test_another_answer_is_an_error_that_names_the_call(answers, content):
    answers(**content)

    with pytest.raises(ServiceUnreachable, match="POST /recommendations"):
        ShopService("http://shop").recommend("ann", 2)
