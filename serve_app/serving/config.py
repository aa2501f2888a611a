"""All settings of the application: the ``args`` of ``serve_config.yaml``, checked as one tree."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from serve_app.bundles.manifest import NAME_PATTERN
from serve_app.bundles.roots import BundleLocation
from serve_app.domain.assignment import Experiment
from serve_app.domain.settings import Settings
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.recommending.ranking.ordering import RankingConfig
from serve_app.serving.coalescing import CoalescingConfig
from serve_app.serving.events_config import EventsConfig
from serve_app.serving.pipeline import Deadlines
from serve_app.stores.connections import StoreLocation, StoresConfig, home_of
from serve_app.stores.serving_readers import CacheTtls
from serve_app.stores.urls import holds_credentials

APPLICATION = "recserve"

MAX_N = 100
"""Most recommendations in one answer."""

MAX_CANDIDATES_PER_BATCH = 150_000
"""About 25 MB in a call of a scorer. With ``configs/fast.env`` a call carries at most 32 MB."""


class HttpConfig(Settings):
    """The HTTP API."""

    max_body_bytes: int = Field(
        default=262_144, ge=1_024, description="Longer request bodies are refused with status 413."
    )
    max_events_body_bytes: int = Field(
        default=1_048_576,
        ge=1_024,
        description="The same limit for bodies of `POST /events` and `PUT /items`.",
    )


class ResultCacheConfig(Settings):
    """The cache of answers in Redis."""

    enabled: bool = Field(
        default=True, description="Keeps answers in Redis and sends them again to equal requests."
    )
    ttl_s: float = Field(
        default=300,
        gt=0,
        description="Seconds for which an answer is kept. Larger values save work and show older"
        " lists.",
    )


Place = Literal["deployment", "ingress"]


def _place_of(stage: str) -> Any:
    return Field(
        default="deployment",
        description=f"Where {stage} runs: `deployment` is a deployment of its own; `ingress` is the"
        " process of the ingress.",
    )


class Placement(Settings):
    """Where each stage runs: in a deployment of its own, or in the process of the ingress."""

    features: Place = _place_of("FeatureFetcher")
    candidates: Place = _place_of("CandidateGenerator")
    scoring: Place = _place_of("each scorer")
    ranking: Place = _place_of("Ranker")
    writing: Place = _place_of("ShopWriter")

    def of_stages(self, variants: tuple[str, ...]) -> dict[str, Place]:
        """Place of each stage, by the name of its deployment."""
        return {
            "FeatureFetcher": self.features,
            "CandidateGenerator": self.candidates,
            **dict.fromkeys((f"Scorer-{variant}" for variant in variants), self.scoring),
            "Ranker": self.ranking,
            "ShopWriter": self.writing,
        }


class AppConfig(Settings):
    """The whole application."""

    variants: tuple[str, ...] = Field(
        default=("main", "challenger"),
        description="Variants served side by side; each has a stage `Scorer-<variant>`. The first "
        "answers all users until `user_config` sets an experiment.",
    )
    placement: Placement = Placement()
    bundles: str = Field(
        default="",
        description="Folder or URI where `recserve fit` publishes bundles. A relative folder lies "
        "in the home folder. Default: `bundles`.",
    )
    http: HttpConfig = HttpConfig()
    result_cache: ResultCacheConfig = ResultCacheConfig()
    coalescing: CoalescingConfig = CoalescingConfig()
    deadlines: Deadlines = Deadlines()
    events: EventsConfig = EventsConfig()
    stores: StoresConfig = StoresConfig()
    ttls: CacheTtls = CacheTtls()
    candidates: CandidatesConfig = CandidatesConfig()
    ranking: RankingConfig = RankingConfig()

    @property
    def hidden_s(self) -> float:
        """Longest time in seconds for which a cached value may count that is out of date."""
        return self.ttls.epoch_s

    @field_validator("variants")
    @classmethod
    def _named(cls, variants: tuple[str, ...]) -> tuple[str, ...]:
        if not variants or len(set(variants)) < len(variants):
            raise ValueError("must name at least one variant, and none twice")
        for variant in variants:
            if not re.fullmatch(NAME_PATTERN, variant):
                raise ValueError(f"{variant!r} is not a name like 'main' or 'challenger-2'")
        return variants

    @field_validator("bundles")
    @classmethod
    def _without_credentials(cls, bundles: str) -> str:
        if holds_credentials(bundles):
            raise ValueError(
                "must not hold a key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what"
                " your object store reads from the environment"
            )
        return bundles

    @model_validator(mode="after")
    def _check_batch_size(self) -> Self:
        n = self.coalescing.max_batch * self.candidates.max_candidates
        if n > MAX_CANDIDATES_PER_BATCH:
            raise ValueError(
                f"coalescing.max_batch times candidates.max_candidates is {n:,}: a batch may have"
                f" at most {MAX_CANDIDATES_PER_BATCH:,} candidates"
            )
        return self


class IngressConfig(Settings):
    """``user_config`` of the ingress. It can change without a restart."""

    experiment: Experiment

    def check(self, variants: tuple[str, ...]) -> Self:
        """Raises ``ValueError`` if a weight names a variant that is not served."""
        unknown = sorted(set(self.experiment.weights) - set(variants))
        if unknown:
            raise ValueError(
                f"experiment.weights names {', '.join(unknown)}; served are {', '.join(variants)}"
            )
        return self


def deployment_names(variants: tuple[str, ...], placement: Placement) -> tuple[str, ...]:
    """Names of all deployments, the ingress first."""
    places = placement.of_stages(variants)
    return ("Ingress", *(stage for stage, place in places.items() if place == "deployment"))


def stages_in_ingress(variants: tuple[str, ...], placement: Placement) -> tuple[str, ...]:
    """Stages that run inside the process of the ingress."""
    places = placement.of_stages(variants)
    return tuple(stage for stage, place in places.items() if place == "ingress")


def store_location(environment: Mapping[str, str], folder: Path) -> StoreLocation:
    """Location of the stores. A relative home folder is relative to ``folder``."""
    return StoreLocation.from_environment(environment, home_of(environment, folder))


def bundle_location(config: AppConfig, home: Path) -> BundleLocation:
    """Where bundles are published, and where a node keeps its copies."""
    root = config.bundles or "bundles"
    # Commands and replicas run in working directories of their own, but share the home folder.
    root = root if "://" in root else str(home / root)
    return BundleLocation(root, home / "bundle-copies", config.variants)
