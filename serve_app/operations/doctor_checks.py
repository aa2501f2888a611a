"""Connects the checks of ``recserve doctor`` to the configuration, the stores and the bundle."""

import sys
from collections.abc import Mapping

from serve_app.bundles.bundle import current_version, open_current, served_shop, verify_bundle
from serve_app.bundles.manifest import unusable_variants
from serve_app.errors import AnotherShop
from serve_app.operations.command_cache import use_cache
from serve_app.operations.doctor import (
    Check,
    Failed,
    Skipped,
    compiled_trees,
    config_keys,
    disk_writable,
    environment_profile,
    ports_free,
    python_version,
    schema_current,
)
from serve_app.operations.environment import needed_ports
from serve_app.operations.running.rest import health_of
from serve_app.operations.workplace import Workplace, problems_of
from serve_app.recommending.scoring.trees import is_compiled
from serve_app.stores.postgres.schema import SCHEMA_VERSION, schema_version, shop_id

MIN_FREE_BYTES = 500_000_000


def all_checks(workplace: Workplace, environment: Mapping[str, str]) -> list[Check]:
    """Lists every check. An earlier failure may explain a later one: keep the order."""
    ports = needed_ports(workplace.http.port, environment)
    return [
        python_version(sys.version_info[:2]),
        compiled_trees(is_compiled()),
        disk_writable(workplace.location.home, MIN_FREE_BYTES),
        config_keys(lambda: problems_of(workplace)),
        environment_profile(environment),
        ports_free(ports, lambda: _is_ours(workplace.http.url)),
        Check("PostgreSQL answers", lambda: _postgres_version(workplace)),
        Check("Redis answers", lambda: _redis_answers(workplace)),
        schema_current(SCHEMA_VERSION, lambda: _schema_version(workplace)),
        Check("bundle is whole", lambda: _whole_bundle(workplace)),
        Check("variants have models", lambda: _usable_variants(workplace)),
        Check("bundle is of this shop", lambda: _own_shop(workplace)),
    ]


def _is_ours(url: str) -> bool:
    # Any web server may answer GET /health with JSON, but not with a version for each variant.
    return "models" in (health_of(url) or {})


def _postgres_version(workplace: Workplace) -> str:
    with workplace.database() as conn:
        return f"version {conn.info.server_version / 10_000:.0f}"


def _redis_answers(workplace: Workplace) -> str:
    with workplace.stores() as urls:
        use_cache(urls.redis, lambda cache: cache.ping())
    return "PONG"


def _schema_version(workplace: Workplace) -> int | None:
    with workplace.database() as conn:
        return schema_version(conn)


def _whole_bundle(workplace: Workplace) -> str:
    root = workplace.bundles.root
    version = current_version(root)
    if version is None:
        raise Skipped(f"nothing is published under {root}: `recserve fit` does")
    manifest = verify_bundle(root, version, cache_dir=workplace.bundles.cache_dir)
    return f"{version}: {manifest.n_items} items, {manifest.n_users} users"


def _own_shop(workplace: Workplace) -> str:
    """Checks that the served bundle was fitted on this database."""
    served = served_shop(workplace.bundles.root)
    if not served:
        raise Skipped("no bundle with the identity of a shop is served")
    with workplace.database() as conn:
        own = str(shop_id(conn))
    if served != own:
        raise AnotherShop(workplace.bundles.root, served, own)
    return own


def _usable_variants(workplace: Workplace) -> str:
    """Checks that each served variant has a booster for the features that this build assembles."""
    bundle = open_current(workplace.bundles.root, cache_dir=workplace.bundles.cache_dir)
    if bundle is None:
        raise Skipped("nothing is published")
    if lacking := unusable_variants(bundle.manifest, workplace.config.variants):
        raise Failed(
            f"no usable model of {', '.join(lacking)} in the bundle: fit again with `recserve fit`"
        )
    return ", ".join(workplace.config.variants)
