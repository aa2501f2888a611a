"""Makes the bundle of a shop that holds nothing yet: empty rows, which fill while it is served."""

from collections.abc import Sequence

import numpy as np

from serve_app.arrays.units import DAY_S
from serve_app.bundles.manifest import Manifest
from serve_app.bundles.publishing import BundleContents, FittedModel, publish
from serve_app.domain.interactions import InteractionLog
from serve_app.fitting.data.items import empty_catalogue
from serve_app.fitting.moments.snapshot import SnapshotConfig, take_snapshot
from serve_app.fitting.tables.tables_config import TablesConfig

N_ROWS = 100_000
"""Items that such a shop can hold before its first fit."""

_CONFIG = SnapshotConfig(
    # Nothing is learnt: the vectors are zero, and as short as they can be.
    embedding_dim=1,
    tables=TablesConfig(content_dim=1, factors_dim=1),
)

_HORIZON_S = 3_650 * DAY_S
"""The clock of the bundle goes on: no model has seen ages of items that it could exceed."""

_NO_MODEL = FittedModel(
    features=("item.popularity",), objective="none", booster=b"", n_trees=0, metrics={}
)
"""Stands for the model of a variant; lists that popularity orders read none."""


def publish_starter(
    root: str, shop_id: str, variants: Sequence[str], now_at: float, n_rows: int = N_ROWS
) -> Manifest:
    """Publishes the bundle of an empty shop, and serves it until the first fit.

    Args:
        now_at: epoch seconds.

    Raises:
        SettingsInvalid: nothing can be written to the root.
    """
    nobody = InteractionLog(
        (),
        users=np.empty(0, np.int32),
        rows=np.empty(0, np.int32),
        types=np.empty(0, np.uint8),
        values=np.empty(0, np.float32),
        at=np.empty(0, np.float64),
    )
    items = empty_catalogue(n_rows, nobody)
    snapshot = take_snapshot(items, nobody, now_at, items.listed, np.empty(0), _CONFIG)
    contents = BundleContents(
        snapshot.fitted,
        models=dict.fromkeys(variants, _NO_MODEL),
        until_at=now_at,
        horizon_s=_HORIZON_S,
        metrics={},
        measured_from_at=now_at,
        n_interactions=0,
        shop_id=shop_id,
        order="popularity",
    )
    return publish(root, contents, created_at=now_at)
