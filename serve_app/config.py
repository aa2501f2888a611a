"""All settings of the application: the ``args`` of ``serve_config.yaml``, checked as one tree."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator

from serve_app.coalescing import CoalescingConfig
from serve_app.domain.assignment import Experiment
from serve_app.domain.candidates import CandidatesConfig
from serve_app.domain.manifest import NAME_PATTERN
from serve_app.domain.ranking import RankingConfig
from serve_app.domain.settings import Settings
from serve_app.pipeline import Deadlines
from serve_app.stores.bundle_shelf import BundleLocation
from serve_app.stores.opening import StoreLocation, StoresConfig, home_of
from serve_app.stores.user_state import CacheTtls

APPLICATION = "recserve"

MAX_N = 100
"""Most recommendations in one answer."""


class HttpConfig(Settings):
    """
    Attributes:
        max_body_bytes: longer request bodies are refused.
    """

    max_body_bytes: int = Field(default=262_144, ge=1_024)


class ResultCacheConfig(Settings):
    """
    Attributes:
        enabled: whether answers are kept at all.
        ttl_s: how long an answer is given again to the same question.
    """

    enabled: bool = True
    ttl_s: float = Field(default=300, gt=0)


class AppConfig(Settings):
    """
    The application.

    Attributes:
        variants: names of the models served side by side; each gets a deployment
            ``Scorer-<variant>``.
        bundles: folder or URI where ``recserve fit`` publishes; empty: ``bundles`` in the home
            folder.
    """

    variants: tuple[str, ...] = ("main", "challenger")
    bundles: str = ""
    http: HttpConfig = HttpConfig()
    result_cache: ResultCacheConfig = ResultCacheConfig()
    coalescing: CoalescingConfig = CoalescingConfig()
    deadlines: Deadlines = Deadlines()
    stores: StoresConfig = StoresConfig()
    ttls: CacheTtls = CacheTtls()
    candidates: CandidatesConfig = CandidatesConfig()
    ranking: RankingConfig = RankingConfig()

    @field_validator("variants")
    @classmethod
    def _named(cls, variants: tuple[str, ...]) -> tuple[str, ...]:
        if not variants or len(set(variants)) < len(variants):
            raise ValueError("name at least one variant, and none twice")
        for variant in variants:
            if not re.fullmatch(NAME_PATTERN, variant):
                raise ValueError(f"{variant!r} is not a name like 'main' or 'challenger-2'")
        return variants


class IngressConfig(Settings):
    """``user_config`` of the ingress: what changes without a restart."""

    experiment: Experiment

    def check(self, variants: tuple[str, ...]) -> Self:
        """
        Raises:
            ValueError: a weight names a variant that is not served.
        """
        unknown = sorted(set(self.experiment.weights) - set(variants))
        if unknown:
            raise ValueError(
                f"experiment.weights names {', '.join(unknown)}; served are {', '.join(variants)}"
            )
        return self


def deployment_names(variants: tuple[str, ...]) -> tuple[str, ...]:
    """Every deployment of the application, the ingress first."""
    scorers = (f"Scorer-{variant}" for variant in variants)
    return ("Ingress", "FeatureFetcher", "CandidateGenerator", *scorers, "Ranker")


def store_location(environment: Mapping[str, str], folder: Path) -> StoreLocation:
    """Where the stores are; relative homes are relative to ``folder``."""
    return StoreLocation.from_environment(environment, home_of(environment, folder))


def bundle_location(config: AppConfig, home: Path) -> BundleLocation:
    """Where bundles are published, and where a node keeps its copies."""
    return BundleLocation(config.bundles or str(home / "bundles"), home / "bundle-copies")
