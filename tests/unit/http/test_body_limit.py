import asyncio
import json

import pytest

from serve_app.http.body_limit import BodyLimit

LIMIT = 10


def answer_to(chunks, *, method="POST", kind="http", path="/", disconnects=False):
    """The bytes that an app behind the limit read, and its answer, for a body in these chunks."""
    messages = [
        {"type": "http.request", "body": chunk, "more_body": i < len(chunks) - 1 or disconnects}
        for i, chunk in enumerate(chunks)
    ]
    messages.append({"type": "http.disconnect"})
    read, sent = [], []

    async def app(scope, receive, send):
        more = True
        while more:
            message = await receive()
            read.append(message.get("body", message["type"]))
            more = message.get("more_body", False)

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(
        BodyLimit(app, LIMIT, on_refused=list, limits_bytes={"/long": 2 * LIMIT})(
            {"type": kind, "method": method, "path": path}, receive, send
        )
    )
    return read, sent


@pytest.mark.parametrize(
    "chunks", [[b""], [b"0123456789"], [b"01234", b"56789"], [b"0", b"", b"1"]]
)
def test_lets_a_body_through_as_it_came(chunks):
    assert answer_to(chunks) == (chunks, [])


@pytest.mark.parametrize("chunks", [[b"x" * 11], [b"x" * 6, b"x" * 5], [b"x"] * 11])
def test_refuses_a_body_that_is_longer_without_calling_the_app(chunks):
    read, [start, body] = answer_to(chunks)

    assert read == []
    assert start["status"] == 413
    assert (b"connection", b"close") in start["headers"]
    assert json.loads(body["body"]) == {"detail": "the body may have at most 10 bytes"}


def test_stops_reading_where_the_limit_is_reached():
    chunks = [b"x" * 11] + [b"x"] * 1_000

    _, sent = answer_to(chunks)

    assert sent[0]["status"] == 413


def test_passes_on_that_the_caller_hung_up():
    assert answer_to([b"01"], disconnects=True) == ([b"01", "http.disconnect"], [])


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_does_not_wait_for_a_body_where_there_is_none(method):
    assert answer_to([b"x" * 50], method=method) == ([b"x" * 50], [])


def test_leaves_what_is_not_http_alone():
    assert answer_to([b"x" * 50], kind="lifespan") == ([b"x" * 50], [])
