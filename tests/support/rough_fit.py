"""Fits quickly, for tests that ask how bundles are served, and not how good their lists are."""

import time

from serve_app.bundles.manifest import Manifest
from serve_app.database.schema import shop_id
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.fit_source import FitSource
from serve_app.fitting.pipeline import fit_and_publish, load_published
from serve_app.fitting.training.boosting import VariantConfig
from serve_app.fitting.workspace.step_folders import Workspace
from serve_app.fitting.workspace.workers import LocalWorkers
from serve_app.operations.command_cache import begin_new_epoch
from serve_app.operations.fits.metering import metered
from serve_app.operations.workplace import Workplace
from tests.support.few_examples import FEW_EXAMPLES


def publish_roughly(workplace: Workplace, *, n_trees: int = 20) -> Manifest:
    """Publishes and promotes a bundle as ``recserve fit`` does, but in this process, without Ray.

    Another number of trees gives another version.
    """
    variant = VariantConfig(n_models=1, n_trees=n_trees)
    config = FitConfig(variants=dict.fromkeys(workplace.config.variants, variant), **FEW_EXAMPLES)
    work = Workspace(workplace.location.home / "fit")
    work.folder.mkdir(exist_ok=True)
    location = workplace.bundles
    with workplace.stores() as urls, workplace.database() as conn:
        for _ in fit_and_publish(
            FitSource(conn, location.root, location.cache_dir),
            work,
            config,
            LocalWorkers(),
            lambda step, share: None,
            metered,
            created_at=time.time(),
            force=True,
        ):
            pass
        begin_new_epoch(urls.redis, str(shop_id(conn)))
    return load_published(work)
