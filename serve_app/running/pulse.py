"""Judges whether a service that has started is still there."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

import requests

from serve_app.errors import ServeUnreachable
from serve_app.running.rest import ServeClient, application_of
from serve_app.serving.config import APPLICATION

REFUSED_PATIENCE_S = 7.0
"""Serve replaces a lost HAProxy in five seconds: shorter outages are not asked about."""

LATE_PATIENCE_S = 60.0
"""An overloaded machine answers late, and recovers."""

PROBE_TIMEOUT_S = 2.0
SERVE_TIMEOUT_S = 3.0


class Sign(Enum):
    """What a request to the service met."""

    ANSWER = auto()
    LATE = auto()
    REFUSED = auto()


@dataclass
class Pulse:
    """Follows the signs of life over time.

    Attributes:
        url: where the service answers.
        probe: returns what a request met.
        absence: returns why Serve does not run the application; ``None`` while it does.
        announce: receives a line when the service stops answering, and when it answers again.
    """

    url: str
    probe: Callable[[], Sign]
    absence: Callable[[], str | None]
    announce: Callable[[str], None]
    _silent_since_s: float | None = None
    _is_announced: bool = False

    def why_gone(self, now_s: float) -> str | None:
        """Says why the service will not answer again; ``None`` while it may.

        Args:
            now_s: monotonic seconds.
        """
        sign = self.probe()
        if sign is Sign.ANSWER:
            self._note_answer()
            return None
        if self._silent_since_s is None:
            self._silent_since_s = now_s
        silent_s = now_s - self._silent_since_s
        patience_s = REFUSED_PATIENCE_S if sign is Sign.REFUSED else LATE_PATIENCE_S
        if silent_s < patience_s:
            return None
        if reason := self.absence():
            return f"nothing answers at {self.url}, and {reason}"
        if not self._is_announced:
            self._is_announced = True
            self.announce(f"nothing answers at {self.url}: Serve is working on it")
        return None

    def _note_answer(self) -> None:
        if self._is_announced:
            self.announce(f"{self.url} answers again")
        self._silent_since_s, self._is_announced = None, False


def pulse_of(base_url: str, client: ServeClient, announce: Callable[[str], None]) -> Pulse:
    """The pulse of the application at ``base_url``."""
    # Asked every second, and an answer about a dead Ray comes only after its own timeouts.
    client = replace(client, timeout_s=SERVE_TIMEOUT_S)
    return Pulse(base_url, probe_of(f"{base_url}/health"), absence_of(client), announce)


def probe_of(url: str) -> Callable[[], Sign]:
    """A probe that asks ``url``. Any answer counts, also one that names a fault."""

    def probe() -> Sign:
        try:
            requests.get(url, timeout=PROBE_TIMEOUT_S)
        except requests.Timeout:
            return Sign.LATE
        except requests.RequestException:
            return Sign.REFUSED
        return Sign.ANSWER

    return probe


def absence_of(client: ServeClient) -> Callable[[], str | None]:
    """A function that asks Serve whether it still runs the application."""

    def absence() -> str | None:
        try:
            application_of(client.details(), APPLICATION, client.address)
        except ServeUnreachable as error:
            return str(error)
        return None

    return absence
