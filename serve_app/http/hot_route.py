"""Answers ``POST /recommendations`` without FastAPI, which saves a seventh of the ingress' work.

Valid requests go this way, answered or refused because too many wait. Every other request goes to
FastAPI unchanged, which also writes the error messages.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from pydantic import ValidationError

from serve_app.errors import Overloaded
from serve_app.http.bodies import RecommendationsRequest
from serve_app.http.body_limit import App, Message, Receive, Scope, Send, replay

PATH = "/recommendations"
_JSON = b"application/json"
_FAILURE = "recserve.failure"


Answering = Callable[[RecommendationsRequest, str], Awaitable[bytes]]
"""Answers one request; the text is the header ``x-request-id``."""


class HotRoute:
    """ASGI middleware in front of the whole API."""

    def __init__(self, api: App, answer: Answering, shed: Callable[[Overloaded, str], App]) -> None:
        """``shed`` makes the refusal of a request with the given ``x-request-id``."""
        self._api = api
        self._answer = answer
        self._shed = shed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("POST", PATH):
            return await self._api(scope, receive, send)
        messages, headers = await _read(receive), dict(scope["headers"])
        body = _checked_body(messages, headers)
        if body is not None:
            given_id = headers.get(b"x-request-id", b"").decode("latin-1")
            try:
                return await _send_json(send, await self._answer(body, given_id))
            except Overloaded as refused:
                return await self._shed(refused, given_id)(scope, receive, send)
            except Exception as failure:
                # The documented route raises it again, and ``http_errors`` answers.
                scope.setdefault("state", {})[_FAILURE] = failure
        return await self._api(scope, replay(messages, receive), send)


def failure_of(scope: Scope) -> Exception | None:
    """The error with which the hot route passed on a valid request."""
    failure: Exception | None = scope.get("state", {}).get(_FAILURE)
    return failure


async def _read(receive: Receive) -> list[Message]:
    """Reads all messages of the body. ``BodyLimit`` stands in front, and bounds its length."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


def _checked_body(
    messages: Sequence[Message], headers: Mapping[bytes, bytes]
) -> RecommendationsRequest | None:
    """Parses and checks the body; ``None`` if FastAPI has to answer."""
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
