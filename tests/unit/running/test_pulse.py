import pytest
import requests

from serve_app.errors import ServeUnreachable
from serve_app.running.pulse import (
    LATE_PATIENCE_S,
    REFUSED_PATIENCE_S,
    Pulse,
    Sign,
    absence_of,
    probe_of,
    pulse_of,
)
from serve_app.running.rest import ServeClient


def pulse_with(signs, absence, said=None):
    signs = iter(signs)
    return Pulse("URL", lambda: next(signs), lambda: absence, [] if said is None else said.append)


def test_a_refusal_for_long_ends_the_service_if_serve_is_gone_too():
    pulse = pulse_with([Sign.REFUSED] * 3, "Serve is gone")

    assert pulse.why_gone(100.0) is None
    assert pulse.why_gone(100.0 + REFUSED_PATIENCE_S - 1) is None
    assert pulse.why_gone(100.0 + REFUSED_PATIENCE_S) == (
        "nothing answers at URL, and Serve is gone"
    )


def test_an_answer_between_two_refusals_starts_the_count_anew():
    pulse = pulse_with([Sign.REFUSED, Sign.ANSWER, Sign.REFUSED], "gone")

    assert [pulse.why_gone(at) for at in (0.0, 100.0, 200.0)] == [None] * 3


def test_an_overloaded_service_has_more_time():
    pulse = pulse_with([Sign.LATE] * 3, "gone")

    assert pulse.why_gone(0.0) is None
    assert pulse.why_gone(LATE_PATIENCE_S - 1) is None
    assert pulse.why_gone(LATE_PATIENCE_S) is not None


def test_says_once_that_serve_works_on_it_and_that_it_answers_again():
    said = []
    pulse = pulse_with([Sign.REFUSED] * 3 + [Sign.ANSWER] * 2, None, said)

    assert [pulse.why_gone(at) for at in (0.0, 60.0, 120.0, 180.0, 240.0)] == [None] * 5
    assert said == ["nothing answers at URL: Serve is working on it", "URL answers again"]


@pytest.mark.parametrize(
    ("fault", "sign"), [(requests.ReadTimeout, Sign.LATE), (requests.ConnectionError, Sign.REFUSED)]
)
def test_tells_a_late_answer_from_a_refused_one(monkeypatch, fault, sign):
    def get(url, timeout):
        raise fault

    monkeypatch.setattr(requests, "get", get)

    assert probe_of("http://test")() is sign


def test_an_answer_with_an_error_is_a_sign_of_life(monkeypatch):
    monkeypatch.setattr(requests, "get", lambda url, timeout: requests.Response())

    assert probe_of("http://test")() is Sign.ANSWER


class FakeServe:
    address = "http://serve"

    def __init__(self, applications):
        self.applications = applications

    def details(self):
        if self.applications is None:
            raise ServeUnreachable(self.address, "refused")
        return {"applications": self.applications}


@pytest.mark.parametrize(
    ("applications", "said"),
    [(None, "refused"), ({}, "no application"), ({"recserve": {"status": "UNHEALTHY"}}, None)],
)
def test_asks_serve_whether_it_runs_the_application(applications, said):
    absence = absence_of(FakeServe(applications))()

    assert absence is None if said is None else said in absence


def test_asks_the_health_of_the_application(monkeypatch):
    asked = []
    monkeypatch.setattr(requests, "get", lambda url, timeout: asked.append(url))

    pulse = pulse_of("http://test", ServeClient("http://serve"), print)

    assert pulse.why_gone(0.0) is None
    assert asked == ["http://test/health"]
