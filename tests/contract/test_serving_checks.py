"""Tests that stores which cannot be served from are refused with a sentence, or work."""

import asyncio
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from serve_app.database.schema import Connection
from serve_app.database.serving_reads import PostgresConfig, ShopReader
from serve_app.errors import SettingsInvalid, StoreUnavailable
from serve_app.stores.cache import RedisConfig
from serve_app.stores.serving_checks import check_serving_cache, check_serving_database
from tests.contract.conftest import set_read_only
from tests.support.own_redis import redis_of
from tests.support.pooler import pooler_before

CONFIG = PostgresConfig(timeout_s=2.0)
SOCKET = ".s.PGSQL.5432"


@pytest.fixture
def folder() -> Iterator[Path]:
    # Paths of sockets must be short.
    with tempfile.TemporaryDirectory(prefix="chk", dir="/tmp") as name:
        yield Path(name)


def refusal(url: str) -> str:
    with pytest.raises(SettingsInvalid) as raised:
        check_serving_database(url, CONFIG)
    assert raised.value.location == "DATABASE_URL"
    return raised.value.reason


def test_describes_a_database_that_can_be_served_from(database_url: str) -> None:
    found = check_serving_database(database_url, CONFIG)

    assert found.version >= 15
    assert found.max_connections > 90
    assert not found.is_pooled
    assert not found.is_read_only


def test_takes_an_empty_database_in_which_tables_can_be_created(bare_database_url: str) -> None:
    assert not check_serving_database(bare_database_url, CONFIG).is_read_only


def test_refuses_a_database_that_cannot_hold_every_text(encoded_database_url: str) -> None:
    reason = refusal(encoded_database_url)

    assert re.fullmatch(
        "the encoding of the database is (LATIN1|SQL_ASCII): create it with ENCODING 'UTF8'", reason
    )
    with pytest.raises(StoreUnavailable, match=r"encoding_(LATIN1|SQL_ASCII)"):
        asyncio.run(read_once(encoded_database_url))


async def read_once(url: str, n_times: int = 1) -> int:
    shop = ShopReader(url, CONFIG)
    try:
        for _ in range(n_times):
            users = await shop.user_features(["ann"])
        return len(users)
    finally:
        await shop.close()


def test_serves_from_a_database_that_is_read_only(conn: Connection, database_url: str) -> None:
    set_read_only(conn)

    assert check_serving_database(database_url, CONFIG).is_read_only
    assert asyncio.run(read_once(database_url)) == 0


def test_refuses_a_database_that_is_read_only_and_empty(bare_database_url: str) -> None:
    with psycopg.connect(bare_database_url, autocommit=True) as conn:
        set_read_only(conn)

    assert "read-only and holds no tables yet" in refusal(bare_database_url)


def test_refuses_a_role_that_may_not_read(database_url: str, guest: str) -> None:
    reason = refusal(make_conninfo(database_url, user=guest))

    assert reason == "GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest"


def test_refuses_a_role_that_cannot_create_the_tables(bare_database_url: str, guest: str) -> None:
    reason = refusal(make_conninfo(bare_database_url, user=guest))

    assert reason.startswith("guest cannot create the tables: GRANT CREATE ON SCHEMA public")


def test_refuses_a_search_path_that_names_nothing(bare_database_url: str) -> None:
    url = f"{bare_database_url}&options={quote('-c search_path=elsewhere')}"

    assert "search_path names no schema" in refusal(url)


def test_names_tables_of_another_build(conn: Connection, database_url: str) -> None:
    conn.execute("ALTER TABLE user_features DROP COLUMN n_items")

    assert "tables are of another build" in refusal(database_url)


def test_names_a_read_that_fails_otherwise(conn: Connection, database_url: str) -> None:
    conn.execute("ALTER TABLE user_features ALTER first_at TYPE text")

    assert refusal(database_url) == "a read as the stages do it fails: UndefinedFunction"


def test_says_why_nothing_answers_and_no_password(folder: Path) -> None:
    assert "No such file" in refusal(f"postgresql://me:secret@/x?host={folder}")
    assert refusal("me:secret") == "no connection: ProgrammingError"


def test_serves_through_a_pooler_that_changes_servers(
    conn: Connection, database_url: str, folder: Path
) -> None:
    conn.execute("INSERT INTO user_features (user_id) VALUES ('ann')")
    target = f"{conninfo_to_dict(database_url)['host']}/{SOCKET}"
    url = make_conninfo(database_url, host=str(folder))

    async def scene() -> tuple[bool, int]:
        async with pooler_before(target, folder / SOCKET):
            found = await asyncio.to_thread(check_serving_database, url, CONFIG)
            return found.is_pooled, await read_once(url, n_times=8)

    assert asyncio.run(scene()) == (True, 1)


def test_takes_a_redis_that_can_be_written(redis_url: str) -> None:
    check_serving_cache(redis_url, RedisConfig())


def test_refuses_a_redis_that_is_a_cluster(folder: Path) -> None:
    slots = ("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    options = ("--cluster-enabled", "yes", "--port", "7999", "--bind", "127.0.0.1")
    with redis_of(folder, *options, set_up=slots) as url:
        with pytest.raises(SettingsInvalid, match="is a cluster") as raised:
            check_serving_cache(url, RedisConfig(timeout_s=2))
        assert raised.value.location == "REDIS_URL"


def test_refuses_a_redis_that_is_a_replica(folder: Path) -> None:
    with (
        redis_of(folder, "--replicaof", "127.0.0.1", "1") as url,
        pytest.raises(SettingsInvalid, match="is a replica that cannot be written"),
    ):
        check_serving_cache(url, RedisConfig(timeout_s=2))


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ("info", "does not name its server, and therefore nothing is cached: allow INFO"),
        ("unlink", "does not let the user read and write keys: allow PING, INFO, MGET, SET"),
        ("mget", "does not let the user read and write keys"),
    ],
)
def test_refuses_a_redis_that_refuses_a_command(folder: Path, refused: str, said: str) -> None:
    set_up = ("ACL", "SETUSER", "default", f"-{refused}")
    with (
        redis_of(folder, set_up=set_up) as url,
        pytest.raises(SettingsInvalid, match=said) as raised,
    ):
        check_serving_cache(url, RedisConfig(timeout_s=2))
    assert raised.value.location == "REDIS_URL"


def test_takes_a_redis_whose_user_may_do_what_is_needed_and_no_more(folder: Path) -> None:
    rights = "on nopass resetkeys ~recserve:* -@all +ping +info +mget +set +unlink +scan"
    with redis_of(folder, set_up=("ACL", "SETUSER", "guest", *rights.split())) as url:
        check_serving_cache(f"{url}?username=guest&password=any", RedisConfig(timeout_s=2))


def test_says_that_redis_does_not_answer(folder: Path) -> None:
    with pytest.raises(StoreUnavailable, match="redis: ConnectionError"):
        check_serving_cache(f"unix://{folder}/none.sock", RedisConfig())
