"""Refuses request bodies that are too long, before anything is parsed."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from serve_app.errors import BodyTooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyLimit:
    """ASGI middleware that reads the body, and answers 413 if it is longer than allowed."""

    def __init__(
        self,
        app: App,
        limit_bytes: int,
        on_refused: Callable[[], None],
        limits_bytes: Mapping[str, int] | None = None,
    ) -> None:
        """``limits_bytes`` has the limits of paths for which another one holds."""
        self._app = app
        self._limit_bytes = limit_bytes
        self._limits_bytes = limits_bytes or {}
        self._on_refused = on_refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        limit_bytes = self._limits_bytes.get(scope["path"], self._limit_bytes)
        messages: list[Message] = []
        n_bytes = 0
        while True:
            message = await receive()
            messages.append(message)
            # Count the bytes that arrive: ``Content-Length`` can lie, and chunked bodies have none.
            n_bytes += len(message.get("body", b""))
            if n_bytes > limit_bytes:
                self._on_refused()
                await _refuse(send, limit_bytes)
                return
            if message["type"] != "http.request" or not message.get("more_body"):
                break
        await self._app(scope, replay(messages, receive), send)


def replay(messages: list[Message], receive: Receive) -> Receive:
    """A ``receive`` that first gives the messages that were read already."""

    async def next_message() -> Message:
        return messages.pop(0) if messages else await receive()

    return next_message


async def _refuse(send: Send, limit_bytes: int) -> None:
    body = b'{"detail":"%s"}' % str(BodyTooLarge(limit_bytes)).encode()
    # Closing the connection stops the client from sending the rest of the body.
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send(
        {"type": "http.response.start", "status": BodyTooLarge.http_status, "headers": headers}
    )
    await send({"type": "http.response.body", "body": body})
