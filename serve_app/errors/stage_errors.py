"""Defines the errors of stages, which the pipeline absorbs."""

from dataclasses import field

from serve_app.errors.root import RecserveError


class StageFailed(RecserveError):
    """A stage gave no usable result; the pipeline replaces it with something simpler."""

    text = "{stage}: {reason}"
    stage: str
    reason: str


class StageTimedOut(StageFailed):
    """A stage gave no answer before its deadline."""

    reason: str = field(init=False, default="timed_out")
    deadline_s: float

    def __str__(self) -> str:
        return f"{self.stage}: no answer within {self.deadline_s * 1e3:.0f} ms"


class StoreUnavailable(StageFailed):
    """A store gave no answer, or an answer that cannot be read."""
