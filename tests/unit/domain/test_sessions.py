from serve_app.arrays.columns import MISSING
from serve_app.domain.interactions import NO_EVENTS, TYPE_CODES, Histories, make_events
from serve_app.domain.sessions import SESSION_GAP_S, latest_sessions

AT = 1e9


def history(*events):
    """Views as (row, minutes before ``AT``), oldest first."""
    rows, minutes = zip(*events, strict=True)
    return make_events(
        rows, [TYPE_CODES["view"]] * len(rows), [AT - 60.0 * each for each in minutes]
    )


class TestLatestSessions:
    def test_begin_after_a_long_pause(self):
        sessions = latest_sessions(Histories.of([history((1, 90), (2, 50), (3, 21), (4, 1))]))

        assert sessions.rows.tolist() == [2, 3, 4]

    def test_a_pause_of_the_limit_itself_ends_no_session(self):
        limit = SESSION_GAP_S / 60
        sessions = latest_sessions(Histories.of([history((1, 2 * limit), (2, limit), (3, 0))]))

        assert sessions.rows.tolist() == [1, 2, 3]

    def test_are_those_of_each_user(self):
        histories = Histories.of([history((1, 5)), NO_EVENTS, history((2, 99), (3, 1))])

        sessions = latest_sessions(histories)

        assert sessions.offsets.tolist() == [0, 1, 1, 2]
        assert sessions.last_rows.tolist() == [1, MISSING, 3]
        assert sessions.steps_back().tolist() == [0, 0]

    def test_nobody_has_none(self):
        assert len(latest_sessions(Histories.of([])).rows) == 0
