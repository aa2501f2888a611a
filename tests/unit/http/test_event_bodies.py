"""Bodies of events are read entry by entry."""

import json

import pytest

from serve_app.domain.posts import EVENT_FIELDS
from serve_app.errors import InvalidRequest
from serve_app.http.entry_lists import read_entries
from serve_app.http.event_bodies import EVENTS, Event, cells_of

VIEW = {"user_id": "ann", "item_id": "pan", "type": "view"}


def read(content):
    return read_entries(json.dumps(content).encode(), EVENTS)


def fault(**cells):
    posted = read([VIEW | cells])
    [found] = posted.faults
    assert found.entry == 0
    return found.field, found.reason


def test_the_fields_of_an_event_are_those_that_travel():
    assert tuple(Event.model_fields) == EVENT_FIELDS


def test_reads_one_event_and_a_list():
    one, several = read(VIEW), read([VIEW, VIEW | {"position": 2, "timestamp": 1.7e9}])

    assert cells_of(one.good[0]) == (None, "ann", "pan", "view", *[None] * 5)
    assert (one.is_list, several.is_list) == (False, True)
    assert cells_of(several.good[1]) == (None, "ann", "pan", "view", None, 1.7e9, None, None, 2)


def test_two_events_without_a_list_around_them_are_no_body():
    with pytest.raises(InvalidRequest):
        read_entries(b"%b,%b" % (json.dumps(VIEW).encode(), json.dumps(VIEW).encode()), EVENTS)


@pytest.mark.parametrize("n", [0, 1_001])
def test_refuses_lists_of_another_length(n):
    with pytest.raises(InvalidRequest, match=r"a list of 1 to 1,000 events"):
        read([VIEW] * n)


@pytest.mark.parametrize("n", [1_001, 1])
def test_counts_bad_entries_too(n):
    if n == 1:
        assert len(read([None]).faults) == 1
    else:
        with pytest.raises(InvalidRequest):
            read([None] * n)


@pytest.mark.parametrize("raw", [b"", b"[", b"7", b'"view"', b"null", b"\xff", b'["\\ud800"]'])
def test_refuses_what_is_no_json_of_events(raw):
    with pytest.raises(InvalidRequest, match="must be one or a list"):
        read_entries(raw, EVENTS)


@pytest.mark.parametrize(
    ("cells", "field", "reason"),
    [
        ({"user_id": 7}, "user_id", "user_id must be text of 1 to 128 characters"),
        ({"user_id": ""}, "user_id", "user_id must be text of 1 to 128 characters"),
        ({"item_id": {"a": 1}}, "item_id", "item_id must be text of 1 to 128 characters"),
        ({"event_id": "e" * 129}, "event_id", "event_id must be text of 1 to 128 characters"),
        ({"value": "2"}, "value", "value must be a number"),
        ({"value": True}, "value", "value must be a number"),
        ({"value": float("nan")}, "", ""),
        ({"timestamp": True}, "timestamp", None),
        ({"timestamp": [1]}, "timestamp", None),
        ({"position": -1}, "position", "position must be a whole number from 0"),
        ({"position": 1.5}, "position", "position must be a whole number from 0"),
        ({"price": 3}, "price", f"unknown field; known are {', '.join(EVENT_FIELDS)}"),
    ],
)
def test_says_what_a_field_may_be(cells, field, reason):
    if not field:  # JSON has no NaN: the whole body cannot be read.
        with pytest.raises(InvalidRequest):
            read([VIEW | cells])
        return
    allowed = reason or "timestamp must be text in ISO 8601, or a number of epoch seconds"
    assert fault(**cells) == (field, allowed)


def test_names_missing_fields_and_entries_that_are_no_objects():
    posted = read([{"user_id": "ann", "type": "view"}, 7, VIEW])

    assert [(each.entry, each.field, each.reason) for each in posted.faults] == [
        (0, "item_id", "item_id is missing"),
        (1, "", "must be an object with the fields of events"),
    ]
    assert list(posted.good) == [2]
