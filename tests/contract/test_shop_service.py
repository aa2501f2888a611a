"""Talks to a small HTTP server that keeps what it was sent."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from serve_app.errors import ServiceUnreachable
from serve_app.simulation.shop_service import Event, Listed, ShopService

EVENT = Event("e1", "ann", "pan", "click", 5.0, "s1", "r1", 2)


class Shop(ThreadingHTTPServer):
    """Answers every request with one status and body."""

    daemon_threads = True

    def __init__(self, status, body):
        super().__init__(("127.0.0.1", 0), Answering)
        self.status, self.body, self.sent = status, body, []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.sent.append((self.command, self.path, json.loads(raw) if raw else None))
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def do_GET(self):
        self.do_POST()

    def log_message(self, *_):
        """Prints nothing."""


@pytest.fixture
def open_shop():
    shops = []

    def start(status=200, body=b"{}"):
        shop = Shop(status, body)
        Thread(target=shop.serve_forever, daemon=True).start()
        shops.append(shop)
        return shop

    yield start
    for shop in shops:
        shop.shutdown()
        shop.server_close()


def test_reads_the_items_and_the_name_of_an_answer(open_shop):
    body = {"recommendations": [{"item_id": "pan"}, {"item_id": "pot"}], "request_id": "r1"}
    shop = open_shop(body=json.dumps(body).encode())

    listed = ShopService(f"{shop.url}/").recommend("ann", 2, 7.5)

    assert listed == Listed(("pan", "pot"), "r1")
    assert shop.sent == [("POST", "/recommendations", {"user_id": "ann", "n": 2, "at": 7.5})]


def test_reports_at_most_a_thousand_events_at_once(open_shop):
    shop = open_shop(status=202)

    ShopService(shop.url).report([EVENT] * 2_300)

    assert [len(body) for _, _, body in shop.sent] == [1_000, 1_000, 300]
    assert shop.sent[0][2][0] == {
        "event_id": "e1",
        "user_id": "ann",
        "item_id": "pan",
        "type": "click",
        "timestamp": 5.0,
        "session_id": "s1",
        "request_id": "r1",
        "position": 2,
    }


def test_reports_nothing_without_events(open_shop):
    shop = open_shop()

    ShopService(shop.url).report([])

    assert shop.sent == []


def test_reads_the_version_that_is_served(open_shop):
    shop = open_shop(body=b'{"bundle": "v1"}')

    assert ShopService(shop.url).version() == "v1"
    assert shop.sent == [("GET", "/health", None)]


@pytest.mark.parametrize(
    "content", [{"status": 503}, {"body": b"<html>"}], ids=["a failure", "no JSON"]
)
def test_another_answer_is_an_error_that_names_the_call(open_shop, content):
    shop = open_shop(**content)

    with pytest.raises(ServiceUnreachable, match="POST /recommendations"):
        ShopService(shop.url).recommend("ann", 2, 7.5)


def test_a_service_that_is_away_is_an_error_that_names_the_call(open_shop):
    shop = open_shop()
    shop.shutdown()
    shop.server_close()

    with pytest.raises(ServiceUnreachable, match="GET /health"):
        ShopService(shop.url).version()
