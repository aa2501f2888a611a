"""Refuses request bodies that are too long, before anything is parsed."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from serve_app.errors import BodyTooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyLimit:
    """ASGI middleware that reads the body and answers 413 when it is longer than allowed.

    Counts what arrives rather than what ``Content-Length`` claims.
    """

    def __init__(self, app: App, limit_bytes: int, on_refused: Callable[[], None]) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._on_refused = on_refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        messages: list[Message] = []
        n_bytes = 0
        while True:
            message = await receive()
            messages.append(message)
            n_bytes += len(message.get("body", b""))
            if n_bytes > self._limit_bytes:
                self._on_refused()
                await _refuse(send, self._limit_bytes)
                return
            if message["type"] != "http.request" or not message.get("more_body"):
                break

        async def replay() -> Message:
            return messages.pop(0) if messages else await receive()

        await self._app(scope, replay, send)


async def _refuse(send: Send, limit_bytes: int) -> None:
    body = b'{"detail":"%s"}' % str(BodyTooLarge(limit_bytes)).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send(
        {"type": "http.response.start", "status": BodyTooLarge.http_status, "headers": headers}
    )
    await send({"type": "http.response.body", "body": body})
