"""Gives tests a proxy before a real store, which can be frozen, away, refusing or cut off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path


class Proxy:
    """Passes connections on to the socket ``target``; at first it listens nowhere."""

    def __init__(self, target: str | Path) -> None:
        self._target = str(target)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def listen(self, path: Path) -> None:
        """Listen on a socket; a file that an earlier server left there is replaced."""
        self._server = await asyncio.start_unix_server(self._connected, path)

    async def listen_on_port(self, port: int = 0) -> int:
        """Listen on a port of this machine; return it."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port)
        return int(self._server.sockets[0].getsockname()[1])

    async def refuse(self) -> None:
        """Close every connection and the listener; the file of a socket stays."""
        if self._server is not None:
            self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Close every connection; new ones are taken."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def freeze(self) -> None:
        """Take connections and bytes, and pass nothing on."""
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Cancelled by ``cut``; the server would log it.
        with suppress(asyncio.CancelledError):
            await self._carry(reader, writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_unix_connection(self._target)
            try:
                async with asyncio.TaskGroup() as pumps:
                    pumps.create_task(self._pump(reader, back))
                    pumps.create_task(self._pump(there, writer))
            finally:
                back.close()
        finally:
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._flowing.wait()
            writer.write(data)
        writer.close()


@asynccontextmanager
async def proxy_before(target: str | Path) -> AsyncIterator[Proxy]:
    """A proxy that is gone in the end."""
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.thaw()
        await proxy.refuse()
