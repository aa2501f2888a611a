"""Reports how up to date the items are, for metrics and as faults of health."""

from typing import Any

from serve_app.background import RepeatedStep
from serve_app.serving.current_bundle import BundleFollower
from serve_app.telemetry.counting import Telemetry

PERIOD_S = 5.0

OLD_S = 5.0
"""Seconds after which changes that are not read are a fault: they are looked for twice a second."""


class CatalogueWatch:
    """Looks at the catalogue of the bundle in use."""

    def __init__(self, follower: BundleFollower, telemetry: Telemetry) -> None:
        self._follower = follower
        self._telemetry = telemetry
        self._repeated = RepeatedStep(self.look)

    def start(self) -> None:
        """Starts once; needs a running event loop."""
        self._repeated.start(PERIOD_S)

    def state(self) -> dict[str, Any] | None:
        """The state of the catalogue, as ``/health`` reports it; ``None`` without a bundle."""
        state = self._follower.catalogue_state()
        if state is None:
            return None
        age_s = None if state.age_s is None else round(state.age_s, 1)
        return {
            "revision": state.revision,
            "age_s": age_s,
            "items_without_row": state.n_without_row,
        }

    def faults(self) -> list[str]:
        """Says that changes are not read, or that new items have to wait for a fit."""
        state = self._follower.catalogue_state()
        if state is None:
            return []
        faults = []
        if state.age_s is None:
            faults.append("changes of items since the fit were never read from PostgreSQL")
        elif state.age_s > OLD_S:
            faults.append(f"changes of items are not read since {state.age_s:.0f} s")
        if state.n_without_row:
            faults.append(
                f"{state.n_without_row} new items wait for the next fit: raise `spare_share`"
            )
        return faults

    async def look(self) -> None:
        """Sets the gauges once."""
        state = self._follower.catalogue_state()
        if state is not None:
            if state.age_s is not None:
                self._telemetry.catalogue_age(state.age_s)
            self._telemetry.items_without_row(state.n_without_row)
