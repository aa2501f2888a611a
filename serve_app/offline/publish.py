"""The fit's shell: reads the warehouse, runs the steps, writes back what was learnt, publishes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from serve_app.domain.manifest import Manifest
from serve_app.offline.fit import LEARNING
from serve_app.offline.fitting.check import check
from serve_app.offline.fitting.job import Job
from serve_app.offline.fitting.publish import fitted
from serve_app.offline.fitting.run import Meter, Progress, Ran, Step, run
from serve_app.offline.fitting.settings import FitConfig
from serve_app.offline.fitting.workspace import Workspace, read_json, write_json
from serve_app.offline.workers import Workers
from serve_app.stores.bundle_publishing import publish
from serve_app.stores.fitted import write_item_features, write_user_features
from serve_app.stores.schema import Connection, check_schema
from serve_app.stores.warehouse import (
    InteractionLog,
    data_state,
    read_interactions,
    read_items,
    read_users,
)

PUBLISH = "publish"

_PUBLISHED = "manifest.json"


@dataclass(frozen=True, slots=True)
class Shop:
    """
    Where a fit reads from and where it publishes.

    Attributes:
        bundle_root: local folder, or URI of an object store.
    """

    conn: Connection
    bundle_root: str


def fit_and_publish(
    shop: Shop,
    work: Workspace,
    config: FitConfig,
    workers: Workers,
    progress: Progress,
    meter: Meter,
    *,
    created_at: float,
    only: str | None = None,
) -> Iterator[Ran]:
    """
    Args:
        created_at: epoch seconds.
        only: a step that runs alone.

    Yields:
        Each step when it is done.

    Raises:
        NotEnoughData: too little to learn from; what is served stays.
        SchemaMismatch: nothing was ever loaded into this database.
        StepMissing: a step that the only one needs is not done.
    """
    check_schema(shop.conn)
    steps: Mapping[str, Step] = {
        "check": partial(check, read=partial(_read, shop.conn)),
        **LEARNING,
        PUBLISH: partial(_publish, shop=shop, created_at=created_at),
    }
    data = data_state(shop.conn)
    return run(steps, work, config, data, workers, progress, meter, only=only)


def published(work: Workspace) -> Manifest:
    """What the last step published."""
    return Manifest.model_validate(read_json(work.of(PUBLISH) / _PUBLISHED))


def _read(conn: Connection) -> tuple[pd.DataFrame, pd.DataFrame, InteractionLog]:
    # Interactions first: an item that is loaded meanwhile may lack interactions, but no interaction
    # its item.
    log = read_interactions(conn)
    return read_items(conn), read_users(conn), log


def _publish(job: Job, folder: Path, shop: Shop, created_at: float) -> None:
    made = fitted(job.work, job.config)
    catalogue = made.contents.catalogue
    rows = np.flatnonzero(catalogue.listed).astype(np.int32)
    numbers = (catalogue.number(name)[rows] for name in ("popularity", "avg_rating", "num_ratings"))
    write_item_features(shop.conn, rows, *numbers)
    job.progress(0.2)
    write_user_features(shop.conn, made.user_ids, made.users)
    job.progress(0.7)
    manifest = publish(
        shop.bundle_root,
        made.contents,
        created_at=created_at,
        n_kept=job.config.n_versions_kept,
        promote=True,
    )
    write_json(folder / _PUBLISHED, manifest.model_dump(mode="json"))
