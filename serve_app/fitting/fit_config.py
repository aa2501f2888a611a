"""What a fit learns, and which step depends on which setting."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from serve_app.bundles.manifest import NAME_PATTERN
from serve_app.domain.candidates.finding import CandidatesConfig
from serve_app.domain.ranking.ranking import RankingConfig
from serve_app.domain.settings import Settings
from serve_app.fitting.data.labels import LabelConfig
from serve_app.fitting.judging.gate import GateConfig
from serve_app.fitting.judging.leaks import LeakConfig
from serve_app.fitting.judging.window_results import CANDIDATES, POPULARITY, SERVED, baselines
from serve_app.fitting.moments.snapshot import SnapshotConfig
from serve_app.fitting.training.boosting import VariantConfig


class FitConfig(Settings):
    """
    Attributes:
        label_share: of the interactions, the latest are used to measure, and as many before them to
            learn from (moments are quantiles of the interactions' times).
        label: what users are to be led to.
        variants: what is fitted, by name.
        candidates, ranking: as they are when serving.
        gate: what is demanded of a fit before it is served.
        leaks: when a source is suspected to have known what it was to foretell.
        max_examples_users: users of a window that are used, chosen at random. The memory of the
            training grows with them, not with the interactions.
        max_negatives: candidates of a user that he did nothing with and that are learnt from.
        n_tuning_users: that half-lives and the like are chosen with.
        min_users: in each window, with something to learn from.
        n_threads: of XGBoost. Its threads spin while they wait: beside other work, two are slower
            than one.
        n_train_workers: processes that train one model together (Ray Train), each on a share of the
            users, for examples that one machine cannot hold. With 1 the models are trained side by
            side, each by one process.
        n_versions_kept: bundles that stay under the root, besides the current one and the one
            that a rollback would lead to.
        seed: of all that is chosen at random.
    """

    label_share: float = Field(default=0.15, gt=0, lt=0.5)
    label: LabelConfig = LabelConfig()
    variants: Mapping[Annotated[str, StringConstraints(pattern=NAME_PATTERN)], VariantConfig] = (
        Field(
            default={
                "main": VariantConfig(),
                "challenger": VariantConfig(objectives=("binary:logistic",), n_models=1),
            },
            min_length=1,
        )
    )
    snapshot: SnapshotConfig = SnapshotConfig()
    candidates: CandidatesConfig = CandidatesConfig()
    ranking: RankingConfig = RankingConfig()
    gate: GateConfig = GateConfig()
    leaks: LeakConfig = LeakConfig()
    max_examples_users: int = Field(default=5_000, ge=1)
    max_negatives: int = Field(default=150, ge=1)
    n_tuning_users: int = Field(default=500, ge=1)
    min_users: int = Field(default=20, ge=1)
    n_threads: int = Field(default=1, ge=1)
    n_train_workers: int = Field(default=1, ge=1)
    n_versions_kept: int = Field(default=5, ge=1)
    seed: int = Field(default=7, ge=0)

    @property
    def main(self) -> str:
        """The variant that the gate judges: the first, which is the first that is served."""
        return next(iter(self.variants))

    @field_validator("variants")
    @classmethod
    def _named_apart(cls, variants: Mapping[str, VariantConfig]) -> Mapping[str, VariantConfig]:
        names = {*variants, *(f"{name}_diverse" for name in variants)}
        taken = names & {*baselines(), CANDIDATES, POPULARITY, SERVED}
        if taken:
            raise ValueError(f"{sorted(taken)} name what the variants are compared with")
        return variants


STEP_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "check": ("label_share", "label"),
    "features": ("snapshot", "candidates", "n_tuning_users", "seed"),
    "candidates": ("max_examples_users", "max_negatives", "min_users"),
    "train": ("variants", "n_threads", "n_train_workers"),
    "evaluate": ("ranking", "gate", "leaks"),
    "publish": ("n_versions_kept",),
}
"""The steps in their order, and the settings that each is the first to depend on."""
