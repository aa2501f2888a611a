"""Posted events are checked by the rules for files."""

from serve_app.domain.interactions import PURCHASE, TYPE_CODES
from serve_app.domain.posts import EVENT_FIELDS, EntryFault, EventPost
from serve_app.loading.events import EventRules, check_posts
from serve_app.loading.rows import event_id_of

NOW = 1_700_000_000.0
RULES = EventRules()


def event(**cells):
    given = {"user_id": "ann", "item_id": "pan", "type": "view"} | cells
    return tuple(given.get(field) for field in EVENT_FIELDS)


def check(*posts, rules=RULES):
    return check_posts([EventPost(events, NOW) for events in posts], rules, NOW)


def fault(**cells):
    [[found]] = check([event(**cells)])
    return found


def test_an_event_becomes_a_row_with_an_id_made_from_its_content():
    [[row]] = check([event(type="purchase", value=2, timestamp="2023-11-14T22:00:00Z")])

    at = 1_699_999_200.0
    assert row.event_id == event_id_of("ann", "pan", at, PURCHASE, 2.0, None)
    assert (row.user_id, row.item_id, row.type, row.value) == ("ann", "pan", PURCHASE, 2.0)
    assert (row.at, row.is_dated) == (at, True)


def test_the_answer_that_led_to_an_event_is_no_part_of_its_identity():
    [[bare], [led]] = check([event()], [event(request_id="r1", position=3)])

    assert bare.event_id == led.event_id
    assert (led.request_id, led.position) == ("r1", 3)


def test_an_event_without_a_time_happened_when_it_arrived():
    [[row]] = check([event(event_id="e1")])

    assert (row.at, row.is_dated) == (NOW, False)


def test_names_every_bad_event_of_a_post_and_spares_the_other_posts():
    bad, good = check(
        [event(type="wish"), event(), event(type="rating")],
        [event(), event(type="return")],
    )

    assert bad == (
        EntryFault(0, "type", f"type is none of {', '.join(TYPE_CODES)}"),
        EntryFault(2, "value", "a rating without a value"),
    )
    assert [row.type for row in good] == [TYPE_CODES["view"], TYPE_CODES["return"]]


def test_reasons_name_settings_of_the_application_and_no_options_of_commands():
    assert fault(type="rating", value=9).reason == (
        "a rating above 5: events.rules.max_rating sets the top of another scale"
    )
    assert fault(type="purchase", value=0).reason == (
        "a purchase of quantity 0 or less: give a return the type `return`"
    )


def test_refuses_times_that_are_far_ahead_or_too_old():
    assert fault(timestamp=NOW + 601).reason.startswith("timestamp is after 2023-11-14")
    assert fault(timestamp=NOW - 3_651 * 86_400).reason.startswith("timestamp is before 2013-11-1")
    [[row]] = check([event(timestamp=NOW + 599)])
    assert row.at == NOW + 599


def test_words_that_files_write_for_a_missing_value_are_missing():
    assert fault(user_id=" NULL ").reason == "user_id is missing"
