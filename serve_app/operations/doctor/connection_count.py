"""Counts the connections to PostgreSQL that a configuration may open."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from serve_app.serving.config import AppConfig

READERS, WRITERS = ("FeatureFetcher", "CandidateGenerator"), ("ShopWriter",)
"""Deployments that read and write PostgreSQL, unless they are placed in the ingress."""

_AUTO_MAX = 100
"""Most replicas of ``num_replicas: auto``, by Ray's default."""


def most_connections(config: AppConfig, deployments: list[Mapping[str, Any]]) -> int:
    """Connections while all replicas are replaced: old and new ones hold theirs side by side.

    Args:
        deployments: as in the configuration file.
    """
    places = config.placement.of_stages(config.variants)
    by_name = {deployment["name"]: deployment for deployment in deployments}

    def processes(stages: Sequence[str]) -> set[str]:
        # Stages in the ingress share the connections of its process.
        return {name if places[name] == "deployment" else "Ingress" for name in stages}

    def most(names: Iterable[str]) -> int:
        return sum(_most_replicas(by_name.get(name, {})) for name in names)

    stores, readers = config.stores, processes(READERS)
    n = most(readers) * stores.postgres.pool_size
    n += most(processes(WRITERS)) * stores.writes.pool_size
    # The ingress follows the items, one read at a time.
    return 2 * (n + most({"Ingress"} - readers))


def _most_replicas(deployment: Mapping[str, Any]) -> int:
    scaling = deployment.get("autoscaling_config") or {}
    wanted = deployment.get("num_replicas")
    if wanted == "auto":
        return int(scaling.get("max_replicas", _AUTO_MAX))
    return int(wanted or scaling.get("max_replicas", 1))
