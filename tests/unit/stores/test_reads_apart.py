"""Tests that the trouble of one id stays with that id."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from serve_app.errors import StoreUnavailable
from serve_app.stores import reads_apart
from serve_app.stores.reads_apart import PAUSE_S, ReadsApart


class Shop:
    """Knows the length of ids; fails for reads that contain an id of ``bad``."""

    def __init__(self, *bad: str, reason: str = "timed_out") -> None:
        self.bad = set(bad)
        self.reason = reason
        self.asked: list[list[str]] = []
        self.now_s = 100.0

    async def load(self, ids: Sequence[str]) -> Mapping[str, int]:
        self.asked.append(list(ids))
        if self.bad & {*ids, *(["any"] if "any" in self.bad else [])}:
            raise StoreUnavailable("postgres", self.reason)
        return {id_: len(id_) for id_ in ids if id_ != "nobody"}


def reader_of(shop: Shop) -> ReadsApart[int]:
    return ReadsApart(shop.load, lambda: shop.now_s)


def test_reads_together_what_is_well() -> None:
    shop = Shop()

    found = asyncio.run(reader_of(shop).read(["a", "nobody", "bob"]))

    assert found.values == {"a": 1, "bob": 3}
    assert not found.unanswered
    assert shop.asked == [["a", "nobody", "bob"]]


@pytest.mark.parametrize("reason", ["timed_out", "NumericValueOutOfRange"])
def test_an_id_that_fails_degrades_no_other(reason: str) -> None:
    shop = Shop("guest", reason=reason)

    found = asyncio.run(reader_of(shop).read(["a", "guest", "bob"]))

    assert found.values == {"a": 1, "bob": 3}
    assert found.unanswered == {"guest"}


def test_an_id_that_failed_is_read_apart_until_it_succeeds() -> None:
    shop = Shop("guest")
    reader = reader_of(shop)
    asyncio.run(reader.read(["a", "guest"]))
    shop.asked.clear()

    found = asyncio.run(reader.read(["a", "guest", "bob"]))
    assert sorted(shop.asked) == [["a", "bob"], ["guest"]]
    assert found.unanswered == {"guest"}

    shop.bad.clear()
    assert asyncio.run(reader.read(["a", "guest"])).values == {"a": 1, "guest": 5}
    shop.asked.clear()
    asyncio.run(reader.read(["a", "guest"]))
    assert shop.asked == [["a", "guest"]]


def test_a_store_that_answers_nobody_is_not_asked_twice_at_once() -> None:
    shop = Shop("any")
    reader = reader_of(shop)

    assert asyncio.run(reader.read(["a", "bob"])).unanswered == {"a", "bob"}
    assert shop.asked == [["a", "bob"], ["a"], ["bob"]]
    shop.asked.clear()
    assert asyncio.run(reader.read(["a", "bob"])).unanswered == {"a", "bob"}
    assert shop.asked == [["a", "bob"]]
    shop.now_s += PAUSE_S
    asyncio.run(reader.read(["a", "bob"]))
    assert len(shop.asked) == 4


@pytest.mark.parametrize("reason", ["unreachable", "too_many_waiting", "no_schema"])
def test_does_not_ask_one_by_one_when_the_reason_holds_for_all(reason: str) -> None:
    shop = Shop("any", reason=reason)

    assert asyncio.run(reader_of(shop).read(["a", "bob"])).unanswered == {"a", "bob"}
    assert shop.asked == [["a", "bob"]]


def test_remembers_a_bounded_number_of_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads_apart, "N_REMEMBERED", 2)
    shop = Shop("x", "y", "z")
    reader = reader_of(shop)
    asyncio.run(reader.read(["x", "y", "z", "a"]))
    shop.asked.clear()

    asyncio.run(reader.read(["x", "y", "z", "a"]))

    assert ["x", "a"] in shop.asked
