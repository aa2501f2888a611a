import json

import pytest
import requests

from serve_app.errors import ServeUnreachable, SettingsInvalid
from serve_app.running.rest import ServeClient, health_of, ray_token

ADDRESS = "http://head:8265"


def answer(status=200, text=""):
    response = requests.Response()
    response.status_code = status
    response._content = text.encode()
    return response


@pytest.fixture
def serve(monkeypatch):
    """Replaces Serve: records requests and returns an answer that the test sets."""

    class FakeServe:
        def __init__(self):
            self.asked = []
            self.answer = answer(text=json.dumps({"applications": {}}))

        def request(self, method, url, **options):
            self.asked.append((method, url, options))
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    fake = FakeServe()
    monkeypatch.setattr(requests, "request", fake.request)
    return fake


class TestServeClient:
    def test_reads_the_report_of_serve(self, serve):
        assert ServeClient(ADDRESS).details() == {"applications": {}}
        [(method, url, options)] = serve.asked
        assert (method, url) == ("GET", "http://head:8265/api/serve/applications/")
        assert options["headers"] == {}

    def test_puts_a_configuration_with_the_token(self, serve):
        ServeClient(ADDRESS + "/", token="secret").deploy({"applications": []})

        [(method, url, options)] = serve.asked
        assert (method, url) == ("PUT", "http://head:8265/api/serve/applications/")
        assert options["json"] == {"applications": []}
        assert options["headers"] == {"Authorization": "Bearer secret"}

    def test_does_not_show_its_token(self):
        assert "secret" not in repr(ServeClient(ADDRESS, token="secret"))

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            (requests.ConnectionError("refused"), "is the service running?"),
            (requests.ConnectTimeout(), "no answer in time"),
            (requests.exceptions.InvalidURL("no host"), "no host"),
            (answer(500, "it broke"), "HTTP 500: it broke"),
            (answer(401), "the cluster asks for a token: set RAY_AUTH_TOKEN"),
            (answer(200, "<html>"), "the answer is not JSON"),
            (answer(200, "[]"), "the answer is not one of Serve's"),
        ],
    )
    def test_names_the_reason_without_a_usable_answer(self, serve, fault, reason):
        serve.answer = fault

        with pytest.raises(ServeUnreachable) as raised:
            ServeClient(ADDRESS).details()

        assert reason in raised.value.reason
        assert raised.value.address == ADDRESS

    def test_says_that_the_token_is_wrong(self, serve):
        serve.answer = answer(403)

        with pytest.raises(ServeUnreachable, match="this token is not the cluster's"):
            ServeClient(ADDRESS, token="old").details()


class TestHealth:
    def test_is_read_from_the_address_of_the_application(self, monkeypatch):
        monkeypatch.setattr(
            requests, "get", lambda url, timeout: answer(text=json.dumps({"asked": url}))
        )

        assert health_of("http://[::1]:81") == {"asked": "http://[::1]:81/health"}

    @pytest.mark.parametrize("said", ["<html>", "[]"])
    def test_is_none_where_another_service_listens(self, monkeypatch, said):
        monkeypatch.setattr(requests, "get", lambda url, timeout: answer(text=said))

        assert health_of("http://127.0.0.1:81") is None

    def test_is_none_where_nothing_listens(self, monkeypatch):
        def refuse(url, timeout):
            raise requests.ConnectionError

        monkeypatch.setattr(requests, "get", refuse)

        assert health_of("http://127.0.0.1:81") is None


class TestRayToken:
    def test_prefers_the_variable_then_the_named_file_then_the_home(self, tmp_path):
        named, home = tmp_path / "named", tmp_path / "home"
        (home / ".ray").mkdir(parents=True)
        (home / ".ray" / "auth_token").write_text("of home\n")
        named.write_text("of file\n")
        path = {"RAY_AUTH_TOKEN_PATH": str(named)}

        assert ray_token({"RAY_AUTH_TOKEN": "of variable", **path}, home) == "of variable"
        assert ray_token(path, home) == "of file"
        assert ray_token({}, home) == "of home"

    def test_is_none_without_variable_and_file(self, tmp_path):
        assert ray_token({}, tmp_path) is None

    def test_is_none_when_authentication_is_disabled(self, tmp_path):
        assert ray_token({"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "t"}, tmp_path) is None

    def test_names_a_file_that_cannot_be_read(self, tmp_path):
        with pytest.raises(SettingsInvalid, match=r"RAY_AUTH_TOKEN_PATH: .*: No such file"):
            ray_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "none")}, tmp_path)
