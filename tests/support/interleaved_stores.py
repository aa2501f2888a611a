"""Gives tests a Redis and a PostgreSQL in memory whose every command waits until it is let go.

A test thereby chooses the order of all steps of all processes, and where each of them ends. The
readers, the writer and the stamps are the real ones.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from serve_app.errors import StoreUnavailable
from serve_app.stores.cache import Moment
from serve_app.stores.cached_reader import CachedKind, CachedReader
from serve_app.stores.epochs import EPOCH_BYTES, begin_epoch, user_epoch
from serve_app.stores.freshness import Freshness
from serve_app.stores.server_identity import identity_of

Result = TypeVar("Result")
Events = frozenset[int]

HISTORY_S, ANSWER_S, EPOCH_S = 10.0, 6.0, 20.0


@dataclass(slots=True)
class Gate:
    """One command that waits to be sent, or whose answer waits to be read."""

    name: str
    opened: "asyncio.Future[None]"
    effect: Callable[[], object] | None = None


@dataclass(slots=True)
class RedisServer:
    """The content of the present primary; ``info`` is what its INFO says."""

    run_id: int = 0
    replication_id: int = 0
    values: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    is_away: bool = False
    is_full: bool = False

    def info(self) -> bytes:
        return b"run_id:%d\nrole:master\nmaster_replid:%d\n" % (self.run_id, self.replication_id)


class World:
    """All stores and processes of a shop, on an event loop of its own.

    Attributes:
        now_s: clock of Redis.
        gates: commands that wait, in the order in which they came.
        stored: events by user, as PostgreSQL has committed them.
        acknowledged: events by user, with the time from which every answer must know them.
        violations: answers that lacked an event.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.now_s = 0.0
        self.gates: list[Gate] = []
        self.redis = RedisServer()
        self.saved: list[dict[str, tuple[bytes, float]]] = [{}]
        self.late: list[tuple[int, Callable[[], object]]] = []
        self.postgres_is_away = False
        self.stored: dict[str, Events] = {}
        self.acknowledged: list[tuple[str, int, float]] = []
        self.violations: list[str] = []
        self.n_answers = 0
        self._n_events = 0
        self._n_servers = 0
        self._run_ids = [0]
        self._tasks: set[asyncio.Task[None]] = set()
        self._cache = InterleavedCache(self)
        self._answers = [self._new_reader() for _ in range(2)]
        self._freshness = Freshness(self._cache, pause_s=0)  # type: ignore[arg-type]

    # What happens to processes

    def ask(self, process: int, user_id: str) -> None:
        """Starts a request in one of two processes."""
        due = {
            event
            for user, event, from_s in self.acknowledged
            if user == user_id and from_s <= self.now_s
        }
        self._start(self._ask(self._answers[process], user_id, due))

    def write(self, user_id: str) -> None:
        """Starts to write an event."""
        self._n_events += 1
        self._start(self._write(user_id, self._n_events))

    def load(self) -> None:
        """Starts to load an event of every user from a file."""
        self._n_events += 1
        self._start(self._load(self._n_events))

    def step(self, i: int) -> None:
        """Lets one waiting command go on, if there is any."""
        if self.gates:
            self._gate(i).opened.set_result(None)
            self._settle()

    def time_out(self, i: int) -> None:
        """A command fails for its caller. Its bytes may reach the server later."""
        if not self.gates:
            return
        gate = self._gate(i)
        if gate.effect is not None:
            self.late.append((self._n_servers, gate.effect))
        gate.opened.set_exception(StoreUnavailable("redis", "TimeoutError"))
        self._settle()

    def arrive_late(self) -> None:
        """The bytes of a command that timed out reach the server, if it is still the same one."""
        server, effect = self.late.pop(0) if self.late else (-1, _nothing)
        if server == self._n_servers:
            with suppress(StoreUnavailable):
                effect()

    def kill(self, i: int) -> None:
        """Ends the task that waits at a gate, as the end of its process does."""
        if self.gates:
            self._gate(i).opened.cancel()
            self._settle()

    def finish(self) -> None:
        """Lets all waiting commands go on until none is left."""
        for _ in range(1_000):
            if not self.gates or self._only_repeats():
                return
            self.step(0)
        raise AssertionError(f"no end: {[gate.name for gate in self.gates]}")

    # What happens to stores

    def save(self) -> None:
        """Redis saves its data, or a replica has got so far."""
        self.saved.append(dict(self.redis.values))

    def restart(self, i: int) -> None:
        """Redis restarts with data of any age, and the other half of its identity stays."""
        self._n_servers += 1
        self._run_ids.append(self._n_servers)
        old_id = self.redis.replication_id
        self.redis = RedisServer(self._n_servers, old_id, dict(self._data(i)))

    def fail_back(self, i: int, server: int) -> None:
        """A server becomes the primary again that was one before, with data of then."""
        self._n_servers += 1
        run_id = self._run_ids[server % len(self._run_ids)]
        self.redis = RedisServer(run_id, self._n_servers, dict(self._data(i)))

    def lose(self, i: int) -> None:
        """Redis evicts a key."""
        keys = sorted(self.redis.values)
        if keys:
            del self.redis.values[keys[i % len(keys)]]

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds

    def close(self) -> None:
        """Ends all tasks, and the loop."""
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self._settle()
        self.loop.close()

    # The processes

    def _new_reader(self) -> CachedReader[Events]:
        history = CachedReader(_kind("history:", HISTORY_S), self._cache, self._read_postgres)  # type: ignore[arg-type]

        async def answer(user_ids: Sequence[str]) -> Mapping[str, Events]:
            # As an answer is computed from a history, which may come from the cache in turn.
            read = await history.read(user_ids)
            if read.unanswered:
                raise StoreUnavailable("postgres", "unreachable")
            return {user_id: read.values.get(user_id, frozenset()) for user_id in user_ids}

        return CachedReader(_kind("answer:", ANSWER_S), self._cache, answer)  # type: ignore[arg-type]

    async def _ask(self, answers: CachedReader[Events], user_id: str, due: set[int]) -> None:
        read = await answers.read([user_id])
        if user_id in read.unanswered:
            return  # The archive answers, and the answer says so.
        self.n_answers += 1
        if missing := due - read.values[user_id]:
            self.violations.append(f"{user_id} lacks {sorted(missing)} at {self.now_s:g} s")

    async def _write(self, user_id: str, event: int) -> None:
        await self.wait("commit")
        self._commit(user_id, event)
        await self.wait("committed")
        is_visible = await self._freshness.make_visible([user_id])
        from_s = self.now_s if is_visible else self.now_s + EPOCH_S
        self.acknowledged.append((user_id, event, from_s))

    async def _load(self, event: int) -> None:
        await self.wait("commit")
        for user_id in ("ann", "bob"):
            self._commit(user_id, event)
        await self.wait("committed")
        await begin_epoch(self._cache, event.to_bytes(EPOCH_BYTES, "big"))  # type: ignore[arg-type]
        self.acknowledged += [(user_id, event, self.now_s) for user_id in ("ann", "bob")]

    def _commit(self, user_id: str, event: int) -> None:
        self.stored[user_id] = self.stored.get(user_id, frozenset()) | {event}

    async def _read_postgres(self, user_ids: Sequence[str]) -> Mapping[str, Events]:
        await self.wait("query")
        if self.postgres_is_away:
            raise StoreUnavailable("postgres", "unreachable")
        rows = {user_id: self.stored[user_id] for user_id in user_ids if user_id in self.stored}
        await self.wait("rows")
        return rows

    # The gates

    async def wait(self, name: str, effect: Callable[[], object] | None = None) -> None:
        gate = Gate(name, self.loop.create_future(), effect)
        self.gates.append(gate)
        try:
            await gate.opened
        finally:
            if gate in self.gates:
                self.gates.remove(gate)

    def _gate(self, i: int) -> Gate:
        return self.gates.pop(i % len(self.gates))

    def _data(self, i: int) -> dict[str, tuple[bytes, float]]:
        return self.saved[i % len(self.saved)]

    def _only_repeats(self) -> bool:
        """Tells whether nothing is left but a writer that tries again and again."""
        repeats = all(gate.name == "remove" for gate in self.gates)
        return repeats and self.redis.is_away and not self._tasks

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        async def quietly() -> None:
            # A store that fails under a load ends the load.
            with suppress(StoreUnavailable, asyncio.CancelledError):
                await work

        task = self.loop.create_task(quietly())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._settle()

    def _settle(self) -> None:
        """Runs the loop until every task waits at a gate again or has ended."""
        while True:
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
            if not self.loop._ready:  # type: ignore[attr-defined]
                return


class InterleavedCache:
    """Answers as a ``Cache`` does, from the primary that a world has at that moment."""

    def __init__(self, world: World) -> None:
        self._world = world

    def of_shop(self, shop_id: str) -> "_OtherSpace":
        return _OtherSpace()

    async def read(self, keys: Sequence[str]) -> Moment:
        def effect() -> Moment:
            identity = identity_of(self._world.redis.info())
            return Moment(identity, [self._get(key) for key in keys])

        return await self._run("read", effect)

    async def set_absent(self, values: Mapping[str, bytes], ttl_s: float) -> list[bytes | None]:
        def draw() -> None:
            self._put({k: v for k, v in values.items() if self._get(k) is None}, ttl_s)

        await self._run("draw", draw)
        return await self._run("read back", lambda: [self._get(key) for key in values])

    async def set_many(self, values: Mapping[str, bytes], ttl_s: float) -> None:
        if values:
            await self._run("set", lambda: self._put(values, ttl_s))

    async def remove(self, keys: Sequence[str]) -> None:
        def effect() -> None:
            for key in keys:
                self._world.redis.values.pop(key, None)

        await self._run("remove", effect)

    async def _run(self, name: str, effect: Callable[[], Result]) -> Result:
        def on_server() -> Result:
            if self._world.redis.is_away:
                raise StoreUnavailable("redis", "ConnectionError")
            return effect()

        await self._world.wait(name, on_server)
        result = on_server()
        await self._world.wait(f"{name} answered")
        return result

    def _put(self, values: Mapping[str, bytes], ttl_s: float) -> None:
        if self._world.redis.is_full:
            raise StoreUnavailable("redis", "OutOfMemoryError")
        until_s = self._world.now_s + ttl_s
        self._world.redis.values.update({key: (value, until_s) for key, value in values.items()})

    def _get(self, key: str) -> bytes | None:
        value, until_s = self._world.redis.values.get(key, (None, 0.0))
        return value if self._world.now_s < until_s else None


class _OtherSpace:
    """The key space of bundles that name no shop; none is served here."""

    async def remove(self, keys: Sequence[str]) -> None: ...

    async def set_many(self, values: Mapping[str, bytes], ttl_s: float) -> None: ...


def _nothing() -> None: ...


def _kind(prefix: str, ttl_s: float) -> CachedKind[Events]:
    def encode(events: Events) -> bytes:
        return ("e" + ",".join(map(str, sorted(events)))).encode()

    def decode(raw: bytes) -> Events:
        return frozenset(map(int, filter(None, raw[1:].decode().split(","))))

    return CachedKind(prefix, user_epoch, encode, decode, ttl_s, ttl_s / 2, EPOCH_S)
