"""``POST /recommendations`` from bytes to bytes: without FastAPI, a seventh of the ingress' work.

Only what is right goes this way, and what is refused because too many wait. Whatever is wrong, or
merely unusual, goes to FastAPI as it came, which finds the same and has the words for it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from pydantic import ValidationError

from serve_app.errors import Overloaded
from serve_app.serving.http.bodies import RecommendationsRequest
from serve_app.serving.http.body_limit import App, Message, Receive, Scope, Send

PATH = "/recommendations"
_JSON = b"application/json"
_FAILURE = "recserve.failure"


class Answering(Protocol):
    """Answers one request; ``given_id`` is the header ``x-request-id``."""

    def __call__(self, body: RecommendationsRequest, given_id: str) -> Awaitable[bytes]: ...


class HotRoute:
    """ASGI in front of the whole API."""

    def __init__(self, api: App, answer: Answering, shed: Callable[[Overloaded, str], App]) -> None:
        """``shed`` tells the caller with this ``x-request-id`` that too many wait."""
        self._api = api
        self._answer = answer
        self._shed = shed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("POST", PATH):
            return await self._api(scope, receive, send)
        messages, headers = await _whole(receive), dict(scope["headers"])
        body = _question(messages, headers)
        if body is not None:
            given_id = headers.get(b"x-request-id", b"").decode("latin-1")
            try:
                return await _send_json(send, await self._answer(body, given_id))
            except Overloaded as refused:
                return await self._shed(refused, given_id)(scope, receive, send)
            except Exception as failure:  # FastAPI tells the caller; see ``http_errors``.
                scope.setdefault("state", {})[_FAILURE] = failure
        return await self._api(scope, _replaying(messages, receive), send)


def failure_of(scope: Scope) -> Exception | None:
    """Why the hot route passed on a request that is right."""
    failure: Exception | None = scope.get("state", {}).get(_FAILURE)
    return failure


async def _whole(receive: Receive) -> list[Message]:
    """The body; ``BodyLimit`` stands in front and keeps it short."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


def _question(
    messages: Sequence[Message], headers: Mapping[bytes, bytes]
) -> RecommendationsRequest | None:
    """The checked body, or ``None`` if FastAPI has to answer, because the body is not valid."""
    if headers.get(b"content-type") != _JSON:
        return None
    try:
        raw = b"".join(message.get("body", b"") for message in messages)
        return RecommendationsRequest.model_validate_json(raw)
    except ValidationError:
        return None


async def _send_json(send: Send, content: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(content)), (b"content-type", _JSON)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _replaying(messages: list[Message], receive: Receive) -> Receive:
    async def replay() -> Message:
        return messages.pop(0) if messages else await receive()

    return replay
