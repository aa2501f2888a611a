"""Tests that items are described, withdrawn and shown, and users shown and deleted."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from serve_app.database.schema import Connection
from serve_app.domain.posts import (
    EVENT_FIELDS,
    EntryFault,
    EventPost,
    NotWritten,
    PostBatch,
    Refused,
)
from serve_app.domain.shop_requests import (
    Changed,
    ForgetUser,
    Found,
    ItemEntry,
    NotThere,
    PatchItem,
    PutItems,
    ReadItem,
    ReadUser,
    ShopRequest,
    WithdrawItem,
)
from serve_app.loading.events import EventRules
from serve_app.loading.load import InputFiles, LoadConfig, load
from serve_app.loading.posted_items import check_items
from serve_app.serving.stages import shop_request_handling
from serve_app.serving.stages.shop_writer import ShopWriter
from serve_app.stores.connections import StoreLocation, Stores, StoresConfig

NOW = 1_700_000_000.0

Ask = Callable[..., Any]


@pytest.fixture
def ask(database_url: str, redis_url: str) -> Ask:
    """Carries out requests, one after the other; gives the outcome of the last one."""

    def carry_out(*requests: ShopRequest | PostBatch) -> Any:
        async def scene() -> Any:
            location = StoreLocation(Path("/nowhere"), database_url, redis_url)
            stage = ShopWriter(Stores(location, StoresConfig()), EventRules(), clock=lambda: NOW)
            outcome: Any = None
            for request in requests:
                if isinstance(request, PostBatch):
                    outcome = await stage.write_events(request)
                else:
                    outcome = await stage.ask_shop((request, ""))
            await stage.close()
            return outcome

        return asyncio.run(scene())

    return carry_out


def entry(item_id: str, attributes: dict[str, Any] | None = None, **fields: Any) -> ItemEntry:
    return ItemEntry({"item_id": item_id, **fields}, attributes or {})


def put(*entries: ItemEntry) -> PutItems:
    return PutItems(list(entries))


def posted(*events: dict[str, Any]) -> PostBatch:
    cells = [tuple(event.get(field) for field in EVENT_FIELDS) for event in events]
    return PostBatch([EventPost(cells, NOW)])


def counts(outcome: Changed) -> tuple[int, ...]:
    return tuple(outcome.counts.values())


def stored(conn: Connection, columns: str) -> list[Any]:
    return conn.execute(f"SELECT {columns} FROM item_features ORDER BY item_row").fetchall()


def test_new_items_get_rows_in_their_order_and_defaults_for_what_is_not_given(
    ask: Ask, conn: Connection
) -> None:
    outcome = ask(put(entry("b", price=2.5, tags=["x"], created_at="2023-11-14"), entry("a")))

    assert outcome == Changed({"added": 2, "changed": 0, "unchanged": 0}, is_visible=True)
    assert stored(conn, "item_row, item_id, category, price, tags, in_stock") == [
        (0, "b", "unknown", 2.5, ["x"], True),
        (1, "a", "unknown", None, [], True),
    ]
    # An item is new from the moment in which it comes, unless its own date is given.
    assert stored(
        conn, "created_at = '2023-11-14Z', created_at BETWEEN now() - interval '1h' AND now()"
    ) == [
        (True, False),
        (False, True),
    ]


def test_only_the_fields_that_are_given_change(ask: Ask, conn: Connection) -> None:
    ask(put(entry("a", {"brand": "Ash", "size": 2}, title="A", price=1.0, in_stock=False)))

    outcome = ask(put(entry("a", {"size": None, "new": True}, price=2.0), entry("b", title="B")))

    assert counts(outcome) == (1, 1, 0)
    assert stored(conn, "title, price, in_stock, attributes") == [
        ("A", 2.0, False, {"brand": "Ash", "new": True}),
        ("B", None, True, {}),
    ]


def test_null_stands_for_the_default(ask: Ask, conn: Connection) -> None:
    ask(put(entry("a", title="A", category="pans", price=1.0, in_stock=False, tags=["x"])))
    nothing = dict.fromkeys(("title", "category", "price", "in_stock", "tags"))

    assert counts(ask(put(entry("a", **nothing)))) == (0, 1, 0)
    assert stored(conn, "title, category, price, in_stock, tags") == [
        (None, "unknown", None, True, [])
    ]


def test_equal_items_are_not_written_again(ask: Ask, conn: Connection) -> None:
    item = entry("a", {"size": 2}, title="A")
    ask(put(item))
    before = stored(conn, "revision, updated_at")

    assert counts(ask(put(item, item))) == (0, 0, 1)
    assert stored(conn, "revision, updated_at") == before


def test_a_later_entry_of_an_item_adds_to_the_earlier_one(ask: Ask, conn: Connection) -> None:
    ask(put(entry("a", {"x": 1}, price=1.0, title="A"), entry("a", {"y": 2}, price=2.0)))

    assert stored(conn, "title, price, attributes") == [("A", 2.0, {"x": 1, "y": 2})]


def test_attributes_keep_the_kind_that_files_and_requests_gave_them(
    ask: Ask, conn: Connection, tmp_path: Path
) -> None:
    file = tmp_path / "items.csv"
    file.write_text("item_id,code\na,x12\n")
    load(conn, InputFiles(items=file), LoadConfig(), lambda *_: None, now_at=NOW)

    ask(put(entry("a", {"code": 7, "size": 1.5, "sold": False, "for": ["b", "c"]})))
    refused = ask(put(entry("b"), entry("c", {"size": "large"})))

    assert stored(conn, "attributes") == [
        ({"code": "7", "size": 1.5, "sold": False, "for": ["b", "c"]},)
    ]
    assert conn.execute("SELECT name, kind FROM recserve_attributes ORDER BY 1").fetchall() == [
        *(("code", "text"), ("for", "list"), ("size", "number"), ("sold", "flag")),
    ]
    reason = "attribute size is not a number (--attribute changes its kind)"
    assert refused == Refused((EntryFault(1, "size", reason),))


@pytest.mark.parametrize(
    ("fields", "attributes", "reason"),
    [
        ({"price": -1.0}, {}, "price is negative"),
        ({"created_at": "soon"}, {}, "created_at is neither ISO 8601"),
        ({"title": "a\0"}, {}, "title has a NUL character or is not UTF-8"),
        ({}, {"popularity": 1}, "recserve computes popularity itself"),
        ({}, {"price": 1}, "price is a field of the item, and no attribute"),
        ({}, {"a\nb": 1}, "names of attributes have 1 to 128 printable characters"),
        ({}, {"": 1}, "names of attributes have 1 to 128 printable characters"),
    ],
)
def test_a_bad_entry_is_named_and_nothing_is_stored(
    ask: Ask, conn: Connection, fields: dict[str, Any], attributes: dict[str, Any], reason: str
) -> None:
    outcome = ask(put(entry("good"), entry("bad", attributes, **fields)))

    assert isinstance(outcome, Refused)
    [fault] = outcome.faults
    assert fault.entry == 1
    assert fault.reason.startswith(reason)
    assert stored(conn, "item_id") == []


def test_attributes_whose_kind_changes_meanwhile_are_checked_again(
    ask: Ask, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_checks = 0

    def check_and_interfere(*arguments: Any) -> Any:
        nonlocal n_checks
        n_checks += 1
        checked = check_items(*arguments)
        conn.execute(
            "INSERT INTO recserve_attributes VALUES ('items', 'size', 'text')"
            " ON CONFLICT DO NOTHING"
        )
        return checked

    monkeypatch.setattr(shop_request_handling, "check_items", check_and_interfere)
    ask(put(entry("a", {"size": 2})))

    assert n_checks == 2
    assert stored(conn, "attributes") == [({"size": "2"},)]


def test_patches_an_item_that_is_there(ask: Ask, conn: Connection) -> None:
    ask(put(entry("a", price=1.0)))

    assert ask(PatchItem(entry("nothing", price=3.0))) == NotThere()
    assert counts(ask(PatchItem(entry("a", price=2.0)))) == (0, 1, 0)
    assert counts(ask(PatchItem(entry("a", price=2.0)))) == (0, 0, 1)
    assert stored(conn, "item_id, price") == [("a", 2.0)]


def test_a_withdrawn_item_stays_withdrawn_until_it_is_put_again(ask: Ask, conn: Connection) -> None:
    listed = "withdrawn_at IS NULL"
    ask(put(entry("a")))

    assert ask(WithdrawItem("nothing")) == NotThere()
    assert ask(WithdrawItem("a"), WithdrawItem("a")) == Changed({}, is_visible=True)
    assert stored(conn, listed) == [(False,)]
    ask(PatchItem(entry("a", price=2.0)))
    assert stored(conn, listed) == [(False,)]
    assert counts(ask(put(entry("a")))) == (0, 1, 0)
    assert stored(conn, listed) == [(True,)]


def test_shows_what_is_stored_of_an_item(ask: Ask) -> None:
    assert ask(ReadItem("a")) == NotThere()

    found = ask(put(entry("a", {"size": 2}, title="A", price=1.5)), ReadItem("a"))

    assert isinstance(found, Found)
    assert {name: found.record[name] for name in ("item_id", "title", "price", "listed")} == {
        "item_id": "a",
        "title": "A",
        "price": 1.5,
        "listed": True,
    }
    assert found.record["attributes"] == {"size": 2}


def test_shows_a_user_and_their_events_the_latest_first(ask: Ask) -> None:
    assert ask(ReadUser("ann")) == NotThere()
    event = {"user_id": "ann", "item_id": "a", "type": "view"}

    ask(posted({**event, "event_id": "e1", "timestamp": NOW - 9}, {**event, "event_id": "e2"}))
    found = ask(ReadUser("ann"))

    assert [each["event_id"] for each in found.record["events"]] == ["e2", "e1"]
    assert found.record["user_id"] == "ann"


def test_deletes_a_user_from_tables_and_redis(ask: Ask, conn: Connection, redis_url: str) -> None:
    event = {"user_id": "ann", "item_id": "a", "type": "view"}
    ask(posted(event, {**event, "user_id": "bob"}))
    conn.execute("INSERT INTO user_features (user_id) VALUES ('ann')")
    [(shop_id,)] = conn.execute("SELECT shop_id::text FROM recserve_shop").fetchall()
    with redis.Redis.from_url(redis_url) as client:
        for key in ("user:3:ann", "history:4:3,5:ann", "history:4:1,3,5:ann", "user:3:bob"):
            client.set(f"recserve:{shop_id}:{key}", b"x")

        outcome = ask(ForgetUser("ann"))

        keys = {key.decode().rpartition(f"{shop_id}:")[2] for key in client.keys("*")}
    assert outcome == Changed({"events": 1}, is_visible=True)
    assert keys == {"user:3:bob"}
    assert ask(ReadUser("ann")) == NotThere()
    assert conn.execute("SELECT user_id FROM interactions").fetchall() == [("bob",)]
    [(user_hash, revision)] = conn.execute(
        "SELECT user_hash, revision FROM forgotten_users"
    ).fetchall()
    assert revision > 0
    assert counts(ask(ForgetUser("ann"))) == (0,)
    assert conn.execute("SELECT user_hash FROM forgotten_users").fetchall() == [(user_hash,)]


def test_says_why_nothing_was_done(redis_url: str, tmp_path: Path) -> None:
    async def scene() -> Any:
        location = StoreLocation(tmp_path, f"postgresql:///x?host={tmp_path}", redis_url)
        stage = ShopWriter(Stores(location, StoresConfig()), EventRules())
        outcome = await stage.ask_shop((WithdrawItem("a"), ""))
        await stage.close()
        return outcome

    assert asyncio.run(scene()) == NotWritten("unreachable")
