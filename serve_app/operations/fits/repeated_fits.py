"""Fits again and again, as a service that survives failed fits."""

import re
from collections.abc import Callable

from serve_app.errors import RecserveError, SettingsInvalid

_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_PERIOD = re.compile(rf"([0-9]+)([{''.join(_UNITS_S)}])")


def parse_period(text: str) -> float:
    """Reads a period such as ``6h``, in seconds.

    Raises:
        SettingsInvalid: another form, or no time at all.
    """
    match = _PERIOD.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise SettingsInvalid("--every", f"is a number and a unit, such as 30m, 6h or 1d: {text}")
    return float(int(match[1]) * _UNITS_S[match[2]])


def fit_every(
    period_s: float,
    fit_once: Callable[[], None],
    announce: Callable[[str], None],
    clock: Callable[[], float],
    wait: Callable[[float], object],
) -> None:
    """Fits now, and then at every period since the beginning of the last fit; never returns.

    A fit that fails is announced, and the next one is tried at its time.

    Args:
        clock: monotonic seconds.
        wait: waits for so many seconds; may raise to end the service.
    """
    while True:
        begun_s = clock()
        try:
            fit_once()
        except RecserveError as failure:
            announce(f"the fit failed: {failure}")
        rest_s = begun_s + period_s - clock()
        if rest_s > 0:
            announce(f"the next fit begins in {rest_s:.0f} s")
            wait(rest_s)
