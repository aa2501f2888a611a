"""The routes of items and users, on an ingress whose writer is replaced."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from serve_app.domain.posts import EntryFault, NotWritten, Refused
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
    WithdrawItem,
)
from serve_app.errors import StageFailed
from tests.support.in_process import Api


class Shop:
    """Answers every request with the outcome that is set; keeps the last request."""

    def __init__(self):
        self.outcome, self.request = Changed({}, is_visible=True), None

    async def __call__(self, asked):
        self.request, _ = asked
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture(scope="module")
def shop():
    return Shop()


@pytest.fixture(scope="module")
def api(shop, tmp_path_factory):
    with Api(tmp_path_factory.mktemp("nothing") / "bundles", ask_shop=shop) as opened:
        yield opened


@pytest.fixture
def send(api, shop):
    def of(outcome, method, path, body=None):
        shop.outcome, shop.request = outcome, None
        options = {} if body is None else {"content": json.dumps(body)}
        headers = {"content-type": "application/json"}
        return api.run(api.client.request(method, path, headers=headers, **options))

    return of


def problems(response):
    assert response.status_code == 422
    return [(problem["loc"], problem["msg"]) for problem in response.json()["detail"]]


ADDED = Changed({"added": 1, "changed": 0, "unchanged": 0}, is_visible=True)


def test_puts_one_item_or_several_with_the_fields_that_were_sent(send, shop):
    one = send(ADDED, "PUT", "/items", {"item_id": "a", "price": None, "attributes": {"x": []}})
    assert one.json() == {"added": 1, "changed": 0, "unchanged": 0, "visible": "within 2 s"}
    assert shop.request == PutItems([ItemEntry({"item_id": "a", "price": None}, {"x": []})])

    send(ADDED, "PUT", "/items", [{"item_id": "a"}, {"item_id": "b", "title": "B"}])
    assert [entry.fields for entry in shop.request.entries] == [
        {"item_id": "a"},
        {"item_id": "b", "title": "B"},
    ]


def test_names_every_bad_entry_of_a_list(send, shop):
    entries = [{"item_id": "a"}, {"item_id": "b", "price": "1"}, {"titel": "C", "item_id": "c"}]
    response = send(ADDED, "PUT", "/items", entries)

    assert problems(response) == [
        (["body", 1, "price"], "price must be a number, or null"),
        (
            ["body", 2, "titel"],
            "unknown field; known are title, category, price, tags, in_stock, created_at,"
            " attributes, item_id",
        ),
    ]
    assert shop.request is None


@pytest.mark.parametrize(("is_list", "place"), [(True, ["body", 0]), (False, ["body"])])
def test_passes_on_what_the_checks_found(send, is_list, place):
    refused = Refused((EntryFault(0, "price", "price is negative"),))
    item = {"item_id": "a", "price": -1}

    response = send(refused, "PUT", "/items", [item] if is_list else item)

    assert problems(response) == [([*place, "price"], "price is negative")]


def test_patches_one_item(send, shop):
    response = send(ADDED, "PATCH", "/items/a%2Fb", {"in_stock": False})

    assert response.status_code == 200
    assert shop.request == PatchItem(ItemEntry({"in_stock": False, "item_id": "a/b"}, {}))
    assert problems(send(ADDED, "PATCH", "/items/a", {"item_id": "b"}))[0][0] == ["body", "item_id"]
    assert problems(send(ADDED, "PATCH", "/items/a", [{"price": 1}]))[0][0] == ["body"]


def test_withdraws_an_item(send, shop):
    hidden = send(Changed({}, is_visible=False), "DELETE", "/items/a")

    assert hidden.json() == {"visible": "within 7200 s"}
    assert shop.request == WithdrawItem("a")


def test_shows_an_item_as_it_is_stored(send, shop):
    zone = timezone(timedelta(hours=2))
    record = {"item_id": "a", "avg_rating": 2.3333332538604736, "attributes": {"size": 2}}
    record["updated_at"] = datetime(2023, 11, 15, 0, tzinfo=zone)

    response = send(Found(record), "GET", "/items/a")

    assert response.json() == {
        "item_id": "a",
        "avg_rating": 2.3333333,
        "attributes": {"size": 2},
        "updated_at": "2023-11-14T22:00:00+00:00",
    }
    assert shop.request == ReadItem("a")


def test_shows_a_user_with_the_names_of_types(send, shop):
    at = datetime(2023, 11, 14, 22, tzinfo=UTC)
    event = {"event_id": "e", "item_id": "a", "type": 4, "value": 4.5, "at": at}

    response = send(
        Found({"user_id": "ann", "events": [event, {**event, "type": 99}]}), "GET", "/users/ann"
    )

    first, second = response.json()["events"]
    assert first == {
        "event_id": "e",
        "item_id": "a",
        "type": "rating",
        "value": 4.5,
        "timestamp": "2023-11-14T22:00:00+00:00",
    }
    assert second["type"] == "99"
    assert shop.request == ReadUser("ann")


@pytest.mark.parametrize("user_id", ["a%00b", "x" * 129])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_refuses_ids_that_nobody_can_have(send, shop, method, user_id):
    response = send(NotThere(), method, f"/users/{user_id}")

    assert problems(response) == [(["path", "user_id"], "must be text of 1 to 128 characters")]
    assert shop.request is None


def test_deletes_a_user(send, shop):
    response = send(Changed({"events": 3}, is_visible=True), "DELETE", "/users/ann")

    assert response.json() == {"events": 3, "visible": "within 2 s"}
    assert shop.request == ForgetUser("ann")


@pytest.mark.parametrize(("method", "path"), [("GET", "/items/a"), ("GET", "/users/a")])
def test_says_that_nothing_is_stored(send, method, path):
    assert send(NotThere(), method, path).status_code == 404


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [(NotWritten("unreachable"), "unreachable"), (StageFailed("writer", "away"), "away")],
)
def test_says_when_to_try_again(send, outcome, reason):
    response = send(outcome, "DELETE", "/users/a")

    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert reason in response.json()["detail"]
