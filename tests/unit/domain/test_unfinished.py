import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serve_app.domain.interactions import (
    NO_EVENTS,
    TYPE_CODES,
    TYPE_GRADES,
    Histories,
    make_events,
)
from serve_app.domain.unfinished import describe_unfinished, find_unfinished

N_ROWS = 4
EVENTS = st.lists(
    st.tuples(st.integers(0, N_ROWS - 1), st.sampled_from(["view", "click", "cart", "purchase"])),
    max_size=12,
)


def history(*events):
    """Events as (row, type), a minute apart; the first one is at 0."""
    rows, types = zip(*events, strict=True) if events else ((), ())
    at = 60.0 * np.arange(len(rows))
    return make_events(rows, [TYPE_CODES[name] for name in types], at)


def described(*events, row=0):
    """Grade, place, and minutes since, ten minutes after the first event."""
    found = describe_unfinished(
        Histories.of([NO_EVENTS, history(*events)]),
        N_ROWS,
        np.array([N_ROWS + row]),
        np.array([0.0, 600.0]),
    )
    return found[0].tolist()


def in_order(events):
    """Rows and names of the unfinished items of one user, first place first, by a plain loop."""
    found = {}
    for moment, (row, name) in enumerate(events):
        if name == "purchase":
            found.pop(row, None)
        else:
            found[row] = max(found.get(row, (0, 0)), (int(TYPE_GRADES[TYPE_CODES[name]]), moment))
    return sorted(found, key=found.get, reverse=True), found


def test_what_is_in_the_cart_stands_before_what_was_viewed_later():
    events = [(1, "view"), (1, "cart"), (2, "view"), (2, "view")]

    assert described(*events, row=1) == [4.0, 0.0, 9.0]
    assert described(*events, row=2) == [1.0, 1.0, 7.0]


def test_a_purchase_takes_back_the_cart_before_it_but_no_later_view():
    assert np.isnan(described((0, "cart"), (0, "purchase"))).all()
    assert described((0, "cart"), (0, "purchase"), (0, "view")) == [1.0, 0.0, 8.0]


def test_what_the_user_never_touched_is_unknown():
    assert np.isnan(described((0, "cart"), row=3)).all()
    assert np.isnan(described(row=3)).all()


def test_a_clock_that_runs_ahead_counts_as_now():
    assert described(*[(0, "view")] * 20)[2] == 0.0


def test_a_return_leaves_nothing_unfinished():
    events = make_events([0], [TYPE_CODES["return"]], [0.0])

    assert len(find_unfinished(Histories.of([events]), N_ROWS).keys) == 0


@given(st.lists(EVENTS, max_size=4))
def test_of_many_users_agrees_with_a_loop_over_the_events_of_each(users):
    found = find_unfinished(Histories.of([history(*events) for events in users]), N_ROWS)

    for user, events in enumerate(users):
        order, best = in_order(events)
        of_user = found.keys // N_ROWS == user
        rows = found.keys[of_user] % N_ROWS
        assert rows[np.argsort(found.places[of_user])].tolist() == order
        assert [
            (int(grade), int(at / 60))
            for grade, at in zip(found.grades[of_user], found.at[of_user], strict=True)
        ] == [best[int(row)] for row in rows]
