"""Connects the checks of ``recserve doctor`` to the configuration, the stores and the bundle."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import suppress

from serve_app.bundles.bundle import (
    current_version,
    ensure_same_shop,
    open_current,
    served_shop,
    verify_bundle,
)
from serve_app.bundles.manifest import unusable_variants
from serve_app.database.bulk_load import crowds_in_words, stored_crowds
from serve_app.database.schema import SCHEMA_VERSION, schema_version, shop_id
from serve_app.database.serving_reads import ShopReader
from serve_app.errors import StoreUnavailable
from serve_app.operations.doctor.checking import (
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
from serve_app.operations.doctor.connection_count import most_connections
from serve_app.operations.doctor.live_check import NOBODY, service_faults
from serve_app.operations.workplace import Workplace, deployments_of, problems_of
from serve_app.recommending.scoring.trees import is_compiled
from serve_app.running.environment import needed_ports
from serve_app.running.rest import ServeClient, health_of
from serve_app.stores.serving_checks import (
    ServingDatabase,
    check_serving_cache,
    check_serving_database,
)

MIN_FREE_BYTES = 500_000_000

N_ATTEMPTS = 20
PAUSE_S = 0.1


def all_checks(
    workplace: Workplace, environment: Mapping[str, str], client: ServeClient
) -> list[Check]:
    """Lists every check. An earlier failure may explain a later one: keep the order.

    Args:
        client: asks the Serve that may run the application.
    """
    ports = needed_ports(workplace.http.port, environment)
    return [
        python_version(sys.version_info[:2]),
        compiled_trees(is_compiled()),
        disk_writable(workplace.location.home, MIN_FREE_BYTES),
        config_keys(lambda: problems_of(workplace)),
        environment_profile(environment),
        ports_free(ports, lambda: _is_ours(workplace.http.url)),
        Check("PostgreSQL answers", lambda: _postgres_serves(workplace)),
        Check("connections", lambda: _enough_connections(workplace)),
        Check("Redis answers", lambda: _redis_serves(workplace)),
        schema_current(SCHEMA_VERSION, lambda: _schema_version(workplace)),
        Check("serving reads PostgreSQL", lambda: _reads_the_shop(workplace)),
        Check("user ids", lambda: _user_ids(workplace)),
        Check("bundle is whole", lambda: _whole_bundle(workplace)),
        Check("variants have models", lambda: _usable_variants(workplace)),
        Check("bundle is of this shop", lambda: _own_shop(workplace)),
        Check("running service", lambda: _running_service(workplace, client)),
    ]


def _is_ours(url: str) -> bool:
    # Any web server may answer GET /health with JSON, but not with a version for each variant.
    return "models" in (health_of(url) or {})


def _serving_database(workplace: Workplace) -> ServingDatabase:
    with workplace.stores() as urls:
        return check_serving_database(urls.database, workplace.config.stores.postgres)


def _postgres_serves(workplace: Workplace) -> str:
    found = _serving_database(workplace)
    between = ", behind a pooler: queries are not prepared" if found.is_pooled else ""
    limits = ", read-only: `POST /events`, `recserve load` and `recserve fit` need the primary"
    return f"version {found.version}{between}{limits if found.is_read_only else ''}"


def _enough_connections(workplace: Workplace) -> str:
    """Checks that the replicas, old and new ones side by side, find enough connections."""
    found = _serving_database(workplace)
    if found.is_pooled:
        raise Skipped("a pooler limits them")
    wanted = most_connections(workplace.config, deployments_of(workplace))
    said = f"replicas take up to {wanted} of {found.max_connections}"
    if wanted > found.max_connections:
        raise Failed(
            f"{said}: lower `max_replicas`, `stores.postgres.pool_size` or"
            " `stores.writes.pool_size`, raise `max_connections` of PostgreSQL, or put a pooler in"
            " between"
        )
    return said


def _redis_serves(workplace: Workplace) -> str:
    # With the limits of the service: a Redis that is too slow for them does not serve.
    with workplace.stores() as urls:
        check_serving_cache(urls.redis, workplace.config.stores.redis)
    return "reads and writes"


def _reads_the_shop(workplace: Workplace) -> str:
    """Checks that the reads of the service work over connections with its options and limits."""

    async def read(url: str) -> None:
        shop = ShopReader(url, workplace.config.stores.postgres)
        try:
            for _ in range(N_ATTEMPTS):
                with suppress(StoreUnavailable):
                    await shop.items([NOBODY])
                    return
                # The first connection is opened beside the reads, which do not wait for it.
                await asyncio.sleep(PAUSE_S)
            await shop.items([NOBODY])
        finally:
            await shop.close()

    with workplace.database() as conn, workplace.stores() as urls:
        if schema_version(conn) is None:
            raise Skipped("the database is empty")
        asyncio.run(read(urls.database))
    return "with the options and limits of the service"


def _user_ids(workplace: Workplace) -> str:
    """Names ids that stand for many people; they cost their neighbours nothing."""
    with workplace.database() as conn:
        if schema_version(conn) is None:
            raise Skipped("the database is empty")
        notes = [*crowds_in_words(stored_crowds(conn))]
    return notes[0] if notes else "none looks like a guest or walk-in account"


def _running_service(workplace: Workplace, client: ServeClient) -> str:
    faults = service_faults(client, workplace.http.url, workplace.config.variants)
    if faults is None:
        raise Skipped("none runs here: only what is on this machine was checked")
    if faults:
        raise Failed("; ".join(faults))
    return "every replica, store and stage is well"


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
    ensure_same_shop(workplace.bundles.root, own)
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
