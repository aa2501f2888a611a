"""Gives contract tests a real PostgreSQL and Redis, with a fresh database for every test."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psycopg
import pytest
import redis
from psycopg import sql

from serve_app.arrays.columns import hash_ids
from serve_app.database.schema import Connection, connect, ensure_schema
from serve_app.database.serving_reads import ShopReader
from serve_app.embedded.lease import StoreUrls, lease
from serve_app.operations.workplace import Workplace
from serve_app.running.environment import HttpAddress
from serve_app.serving.config import AppConfig, bundle_location
from serve_app.stores.cache import Cache
from serve_app.stores.cached_reader import WRITE_BACK
from serve_app.stores.connections import StoreLocation

_numbers = count()


@pytest.fixture(scope="session")
def store_urls() -> Iterator[StoreUrls]:
    home = Path(tempfile.mkdtemp(prefix=f"recserve-contract-{os.getpid()}-"))
    with lease(home) as held:
        yield held.urls
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def template(store_urls: StoreUrls) -> str:
    """Name of a database that holds the empty schema; copying it is quick."""
    with psycopg.connect(store_urls.database, autocommit=True) as conn:
        conn.execute("CREATE DATABASE recserve_template")
    with connect(url_of(store_urls, "recserve_template")) as conn:
        ensure_schema(conn)
    return "recserve_template"


def url_of(store_urls: StoreUrls, database: str) -> str:
    return urlsplit(store_urls.database)._replace(path=f"/{database}").geturl()


def copy_database(store_urls: StoreUrls, template: str, name: str) -> str:
    """Makes a database as its template is, to which no connection may be open; returns its name."""
    with psycopg.connect(store_urls.database, autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    return name


def temporary_database(store_urls: StoreUrls, template: str) -> Iterator[str]:
    """The URL of a copy of the template, which is dropped in the end."""
    name = copy_database(store_urls, template, f"test_{next(_numbers)}")
    yield url_of(store_urls, name)
    with psycopg.connect(store_urls.database, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database_url(store_urls: StoreUrls, template: str) -> Iterator[str]:
    """A database for one test, with the empty schema."""
    yield from temporary_database(store_urls, template)


@pytest.fixture
def bare_database_url(store_urls: StoreUrls) -> Iterator[str]:
    """A database for one test, with nothing in it."""
    yield from temporary_database(store_urls, "template0")


@pytest.fixture(params=["LATIN1", "SQL_ASCII"])
def encoded_database_url(store_urls: StoreUrls, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database in an encoding that cannot hold every text, or holds bytes as they come."""
    name = sql.Identifier(f"in_{request.param.lower()}")
    create = sql.SQL(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE_PROVIDER libc LOCALE 'C'"
    )
    with psycopg.connect(store_urls.database, autocommit=True) as admin:
        admin.execute(create.format(name, request.param))
        yield url_of(store_urls, f"in_{request.param.lower()}")
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.fixture(scope="session")
def guest(store_urls: StoreUrls) -> str:
    """A role without any right. Rights that a test grants go with the test's database."""
    with psycopg.connect(store_urls.database, autocommit=True) as admin:
        admin.execute("CREATE ROLE guest LOGIN")
    return "guest"


def set_read_only(conn: Connection) -> None:
    """Lets later connections only read this database."""
    name = sql.Identifier(conn.info.dbname)
    conn.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url) as connection:
        yield connection


@pytest.fixture
def redis_url(store_urls: StoreUrls) -> str:
    """An empty Redis."""
    with redis.Redis.from_url(store_urls.redis) as client:
        client.flushall()
    return store_urls.redis


@pytest.fixture
def workplace(bare_database_url: str, redis_url: str, tmp_path: Path) -> Workplace:
    """Stores with nothing in them, not even a schema."""
    config, location = AppConfig(), StoreLocation(tmp_path, bare_database_url, redis_url)
    bundles = bundle_location(config, tmp_path)
    path = tmp_path / "serve_config.yaml"
    return Workplace(path, {}, config, location, bundles, HttpAddress())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Awaitable[Any]], Any]:
    """Awaits one answer in a loop of its own, and closes the stores that were opened for it.

    A replica keeps its connections until it ends; a loop with an open pool would never end.
    """
    opened: list[ShopReader | Cache] = []

    def remember(store: type[ShopReader] | type[Cache]) -> None:
        initialise = store.__init__

        def initialise_and_remember(self: Any, *arguments: Any) -> None:
            initialise(self, *arguments)
            opened.append(self)

        monkeypatch.setattr(store, "__init__", initialise_and_remember)

    remember(ShopReader)
    remember(Cache)

    def answer_of(answer: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            try:
                return await answer
            finally:
                writes = {task for task in asyncio.all_tasks() if task.get_name() == WRITE_BACK}
                # A write that connects after its cache was closed would leave a connection open.
                await asyncio.gather(*writes)
                while opened:
                    await opened.pop().close()

        return asyncio.run(awaited())

    return answer_of


def forget(conn: Connection, user_ids: list[str]) -> None:
    """Notes that archives must not answer for some users, as their deletion does."""
    hashes = sorted({*hash_ids(user_ids).view(np.int64).tolist()})
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO forgotten_users (user_hash, revision) VALUES (%s, 0)"
            " ON CONFLICT (user_hash) DO UPDATE SET forgotten_at = now()",
            [(user_hash,) for user_hash in hashes],
        )
