import pytest

from serve_app.errors import NotEnoughData, SettingsInvalid
from serve_app.operations.fits.repeated_fits import fit_every, parse_period


class Ended(Exception):
    """Ends the service in a test."""


class Clock:
    """Monotonic seconds that move when somebody waits or fits."""

    def __init__(self, n_waits):
        self.now_s, self.waits, self.n_waits = 0.0, [], n_waits

    def __call__(self):
        return self.now_s

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now_s += seconds
        if len(self.waits) == self.n_waits:
            raise Ended


def serve(clock, fit_once, period_s=100.0):
    said = []
    with pytest.raises(Ended):
        fit_every(period_s, fit_once, said.append, clock, clock.wait)
    return said


def test_begins_every_fit_a_period_after_the_last_one_began():
    clock, begun = Clock(3), []

    def fit_once():
        begun.append(clock.now_s)
        clock.now_s += 30

    serve(clock, fit_once)

    assert begun == [0, 100, 200]
    assert clock.waits == [70, 70, 70]


def test_begins_at_once_after_a_fit_that_was_longer_than_the_period():
    clock, lasting = Clock(1), iter([150, 10])

    def fit_once():
        clock.now_s += next(lasting)

    serve(clock, fit_once)

    assert clock.waits == [90]


def test_goes_on_after_a_fit_that_failed_and_says_why():
    clock, failures = Clock(2), iter([NotEnoughData("there are no items"), None])

    def fit_once():
        if failure := next(failures):
            raise failure

    said = serve(clock, fit_once)

    assert said[0].startswith("the fit failed: ")
    assert "there are no items" in said[0]
    assert len(clock.waits) == 2


@pytest.mark.parametrize(
    ("text", "period_s"), [("45s", 45), ("30m", 1_800), ("6h", 21_600), ("1d", 86_400)]
)
def test_reads_a_number_and_a_unit(text, period_s):
    assert parse_period(text) == period_s


@pytest.mark.parametrize("text", ["", "6", "h", "6 h", "-6h", "0h", "6w", "1h30m", "inf"])
def test_refuses_another_period_and_says_the_form(text):
    with pytest.raises(SettingsInvalid, match="30m, 6h or 1d"):
        parse_period(text)
