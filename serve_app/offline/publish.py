"""The fit's shell: reads the warehouse, writes back what was learnt, publishes a bundle."""

import numpy as np

from serve_app.domain.manifest import Manifest
from serve_app.offline.fit import FitConfig, Progress, fit
from serve_app.stores.bundle_publishing import publish
from serve_app.stores.fitted import write_item_features, write_user_features
from serve_app.stores.schema import Connection, check_schema
from serve_app.stores.warehouse import read_interactions, read_items, read_users


def fit_and_publish(
    conn: Connection, bundle_root: str, config: FitConfig, progress: Progress, *, created_at: float
) -> Manifest:
    """
    Reads all, fits, writes the numbers of items and users back, and publishes a bundle.

    Args:
        bundle_root: local folder, or URI of an object store.
        created_at: epoch seconds.

    Raises:
        NotEnoughData: too little to learn from; what is served stays.
        SchemaMismatch: nothing was ever loaded into this database.
    """
    check_schema(conn)
    progress("reading", 0.0)
    # Interactions first: an item that is loaded meanwhile may lack interactions, but no interaction
    # its item.
    log = read_interactions(conn)
    items, users = read_items(conn), read_users(conn)
    progress("reading", 1.0)
    fitted = fit(items, users, log, config, progress)
    catalogue = fitted.contents.catalogue
    progress("writing", 0.0)
    rows = np.flatnonzero(catalogue.listed).astype(np.int32)
    numbers = (catalogue.number(name)[rows] for name in ("popularity", "avg_rating", "num_ratings"))
    write_item_features(conn, rows, *numbers)
    write_user_features(conn, log.user_ids, fitted.users)
    manifest = publish(
        bundle_root, fitted.contents, created_at=created_at, n_kept=config.n_versions_kept
    )
    progress("writing", 1.0)
    return manifest
