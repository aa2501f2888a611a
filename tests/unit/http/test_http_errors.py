import asyncio
import json

from fastapi import FastAPI, Request, Response

from serve_app.http.http_errors import add_errors
from tests.support.in_process import logged


class Refusals:
    def __init__(self):
        self.outcomes = []

    def refused(self, outcome):
        self.outcomes.append(outcome)


def test_a_client_that_hangs_up_within_its_body_is_no_bug():
    api, refusals = FastAPI(), Refusals()
    add_errors(api, refusals)

    @api.post("/")
    async def read(request: Request) -> Response:
        return Response(await request.body())

    messages = iter(
        [
            {"type": "http.request", "body": b"{", "more_body": True},
            {"type": "http.disconnect"},
        ]
    )
    sent = []

    async def receive():
        return next(messages)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    with logged("ray.serve.recserve.http") as records:
        asyncio.run(api(scope, receive, send))

    assert sent[0]["status"] == 400
    assert json.loads(sent[1]["body"]) == {"detail": "the body ended before it was complete"}
    assert refusals.outcomes == ["invalid"]
    assert records == []
