"""Defines the settings of the events that are posted over HTTP."""

from pydantic import Field

from serve_app.domain.settings import Settings
from serve_app.loading.events import EventRules
from serve_app.serving.coalescing import CoalescingConfig


class EventsConfig(Settings):
    """Events that the shop reports over HTTP, and how they travel to ShopWriter."""

    deadline_s: float = Field(
        default=5.0,
        gt=0,
        description="Seconds to wait for ShopWriter. Later the client gets status 503 and sends the"
        " events again. Keep it above `stores.writes.timeout_s`.",
    )
    retry_after_s: int = Field(
        default=1, ge=1, description="Seconds that the `Retry-After` header of a 503 or 429 names."
    )
    max_in_flight: int = Field(
        default=2, ge=1, description="Writes of one ingress replica under way at the same time."
    )
    max_batch: int = Field(
        default=2_000,
        ge=1,
        description="Most events in one write. A post is never divided: a longer one is a write of"
        " its own.",
    )
    max_waiting: int = Field(
        default=20_000,
        ge=1,
        description="Most events that wait in one ingress replica. Further posts are refused with"
        " status 429.",
    )
    max_wait_s: float = Field(
        default=2.0,
        gt=0,
        description="Longest wait of a post in seconds. While one has waited longer, new posts are"
        " refused with status 429.",
    )
    rules: EventRules = EventRules()

    @property
    def coalescing(self) -> CoalescingConfig:
        """The limits for writes that posts share; sizes are numbers of events."""
        return CoalescingConfig(
            max_in_flight=self.max_in_flight,
            max_batch=self.max_batch,
            max_waiting=self.max_waiting,
            max_wait_s=self.max_wait_s,
            retry_after_s=self.retry_after_s,
        )
