"""Defines the settings of a fit, and the steps that depend on each setting."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from serve_app.bundles.manifest import NAME_PATTERN
from serve_app.domain.settings import Settings
from serve_app.fitting.data.labels import LabelConfig
from serve_app.fitting.judging.gate import GateConfig
from serve_app.fitting.judging.leaks import LeakConfig
from serve_app.fitting.judging.window_results import CANDIDATES, POPULARITY, SERVED, baselines
from serve_app.fitting.moments.snapshot import SnapshotConfig
from serve_app.fitting.training.boosting import VariantConfig
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.recommending.ranking.ordering import RankingConfig

VariantName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class FitConfig(Settings):
    """Settings of ``recserve fit``."""

    label_share: float = Field(
        default=0.15,
        gt=0,
        lt=0.5,
        description="Share of the interactions in each of two windows: models learn from the second"
        " to last share and are measured on the last one. Windows are quantiles of the"
        " interactions' times.",
    )
    label: LabelConfig = Field(
        default=LabelConfig(), description="Interactions that recommendations should lead to."
    )
    spare_share: float = Field(
        default=0.1,
        ge=0,
        le=10,
        description="Empty rows of the catalogue for items that come before the next fit, as a"
        " share of the items: at least 500 rows, or none for 0. Later items wait for the next fit.",
    )
    variants: Mapping[VariantName, VariantConfig] = Field(
        default={
            "main": VariantConfig(),
            "challenger": VariantConfig(objectives=("binary:logistic",), n_models=1),
        },
        min_length=1,
        description="Variants to fit, by name.",
    )
    snapshot: SnapshotConfig = Field(
        default=SnapshotConfig(), description="Features and tables that the sources use."
    )
    candidates: CandidatesConfig = Field(
        default=CandidatesConfig(),
        description="How candidates are found. A fit takes the values that serving uses.",
    )
    ranking: RankingConfig = Field(
        default=RankingConfig(),
        description="How lists are made diverse. A fit takes the values that serving uses.",
    )
    gate: GateConfig = Field(
        default=GateConfig(), description="Demands on a fit before it is promoted."
    )
    leaks: LeakConfig = Field(
        default=LeakConfig(),
        description="Limits above which a source is suspected to know the future.",
    )
    max_examples_users: int = Field(
        default=5_000,
        ge=1,
        description="Users of a window that models learn from, chosen at random. The memory of"
        " training grows with this number, not with the number of interactions.",
    )
    n_further_moments: int = Field(
        default=12,
        ge=0,
        description="Further moments within a window at which models learn from a user. Each lies"
        " just before the user came to an item with an interaction that counts. Those of users"
        " with a history lie within their sessions, and between them only where such users are"
        " fewer than 1,000. All users together have at most 1.5 times `max_examples_users`. More"
        " show the models more histories as they are in the middle of a visit, and take more memory"
        " and time.",
    )
    step_gain: float = Field(
        default=0.7,
        gt=0,
        le=1,
        description="Factor by which what a user does one step later counts less, at moments within"
        " a window: models learn above all what comes next.",
    )
    max_negatives: int = Field(
        default=150,
        ge=1,
        description="Untouched candidates of a user that models learn from, about; a third of them"
        " at further moments. More take more memory and time.",
    )
    n_tuning_users: int = Field(
        default=500,
        ge=1,
        description="Users that half-lives and other settings of the sources are chosen with. More"
        " make the choice surer and slower.",
    )
    min_users: int = Field(
        default=5,
        ge=1,
        description="Users with something to learn from that each window must have; a fit with"
        " fewer fails.",
    )
    n_threads: int = Field(
        default=1,
        ge=1,
        description="Threads of XGBoost. They spin while they wait: beside other work, two threads"
        " are slower than one.",
    )
    n_train_workers: int = Field(
        default=1,
        ge=1,
        description="Processes that train one model together (Ray Train), each on a share of the"
        " users. Raise it for examples that exceed the memory of one machine. With 1, each process"
        " trains a model of its own.",
    )
    n_versions_kept: int = Field(
        default=5,
        ge=1,
        description="Bundles that stay under the root, besides the current bundle and the one that"
        " a rollback would restore.",
    )
    seed: int = Field(default=7, ge=0, description="Seed of all random choices of a fit.")

    @property
    def main(self) -> str:
        """The variant that the gate judges: the first one, which is also the first served one."""
        return next(iter(self.variants))

    @field_validator("variants")
    @classmethod
    def _names_are_free(cls, variants: Mapping[str, VariantConfig]) -> Mapping[str, VariantConfig]:
        names = {*variants, *(f"{name}_diverse" for name in variants)}
        taken = names & {*baselines(), CANDIDATES, POPULARITY, SERVED}
        if taken:
            raise ValueError(f"{sorted(taken)} are taken: variants are compared with these orders")
        return variants


STEP_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "check": ("label_share", "label", "spare_share"),
    "features": ("snapshot", "candidates", "max_examples_users", "n_tuning_users", "seed"),
    "candidates": ("n_further_moments", "step_gain", "max_negatives", "min_users"),
    "train": ("variants", "n_threads", "n_train_workers"),
    "evaluate": ("ranking", "gate", "leaks"),
    "publish": ("n_versions_kept",),
}
"""Names of the steps in their order, each with the settings that no earlier step depends on."""
