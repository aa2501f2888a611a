"""Sends a batch through the graph until every stage has answered; reports the missing ones."""

from collections.abc import Sequence

from serve_app.background import RepeatedStep
from serve_app.domain.batches import RequestBatch
from serve_app.errors import FingerprintMismatch, ModelsUnusable
from serve_app.serving.current_bundle import BundleFollower, CurrentBundle
from serve_app.serving.pipeline import Deadlines, Stages, recommend

WARM_UP_DEADLINES = Deadlines(features_s=10.0, candidates_s=10.0, scorer_s=10.0, ranker_s=10.0)
"""Longer than in service, because starting stages open a bundle and connect to stores."""

PAUSE_S = 0.5

STARTED = ("store_unavailable", FingerprintMismatch.__name__, ModelsUnusable.__name__)
"""Reasons not counted as missing: a stage whose store is down has started, and answers. So has a
scorer whose bundle holds no model for it: the next fit brings one."""


class WarmUp:
    """Ready once every stage has answered. It stays ready: the floor replaces later failures."""

    def __init__(self, follower: BundleFollower, stages: Stages, variants: Sequence[str]) -> None:
        self._follower = follower
        self._stages = stages
        self._variants = tuple(variants)
        self._missing: tuple[str, ...] = ("every stage",)
        self._repeated = RepeatedStep(self._look)

    def start(self) -> None:
        """Needs a running event loop."""
        self._repeated.start(PAUSE_S)

    def missing(self) -> list[str]:
        """Names the stages that have not answered yet."""
        if self._follower.current is None:
            return ["bundle: publish one with `recserve fit`"]
        return list(self._missing)

    async def _look(self) -> None:
        if self._missing and self._follower.current is not None:
            self._missing = await self._try(self._follower.current)

    async def _try(self, current: CurrentBundle) -> tuple[str, ...]:
        """Sends one request per variant; returns the stages that do not answer."""
        replaced = _ReplacedStages()
        # No user has the empty id: stages treat it as unknown, which needs no data in the stores.
        users = ("",) * len(self._variants)
        batch = RequestBatch.unfiltered(
            users, 1, at=current.bundle.manifest.until_at, bundle=current.version
        )
        await recommend(
            batch, self._variants, self._stages, current.floor, WARM_UP_DEADLINES, replaced
        )
        return tuple(f"{stage}: {reason}" for stage, reason in replaced.reasons.items())


class _ReplacedStages:
    """Notes the stages that had to be replaced."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def stage(self, name: str, duration_s: float) -> None:
        """Ignores durations: they include opening the bundle."""

    def degraded(self, stage: str, reason: str, n_requests: int) -> None:
        if reason not in STARTED:
            self.reasons[stage] = reason
