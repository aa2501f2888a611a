"""Makes the measured shop once, keeps it in a folder, and warms its caches before a run."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import redis
import yaml

from benchmarks.seed_service.filling import fill_seed
from serve_app.bundles.bundle import Bundle, open_current
from serve_app.database.serving_reads import PostgresConfig, ShopReader
from serve_app.demo.demo_shop import DemoConfig, make_demo, write_demo
from serve_app.domain.interactions import kept_types
from serve_app.embedded.lease import StoreUrls
from serve_app.loading.load import InputFiles, LoadConfig
from serve_app.operations.command_cache import COMMAND_REDIS
from serve_app.operations.first_run import why_unservable
from serve_app.operations.fits.fit_bundle import fit_bundle
from serve_app.operations.load_shop import load_files
from serve_app.operations.workplace import Workplace, open_workplace
from serve_app.serving.questions import ANSWER_PREFIX
from serve_app.stores.cache import Cache
from serve_app.stores.serving_readers import CacheTtls, HistoryReader, item_reader, user_reader

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "serve_config.yaml"

SHOP = DemoConfig(n_users=20_000, n_items=10_000, n_interactions=500_000)

FIT = {"max_examples_users": 300, "n_tuning_users": 100, "spare_share": 0}
"""Few users to learn from, because only speed is measured. Every row of the catalogue is an item:
other services and larger shops are made of its rows."""

_CHUNK = 500

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Home:
    """
    Attributes:
        folder: RECSERVE_HOME of every measured service.
        users: file with all user ids, one per line, in random order.
        urls: of the stores, which run during the whole benchmark.
    """

    folder: Path
    users: Path
    workplace: Workplace
    urls: StoreUrls

    def user_ids(self) -> list[str]:
        return self.users.read_text().split()

    def bundle(self) -> Bundle:
        """The served bundle."""
        location = self.workplace.bundles
        bundle = open_current(location.root, cache_dir=location.cache_dir)
        assert bundle is not None, "the shop was fitted"
        return bundle


def workplace_in(folder: Path) -> Workplace:
    return open_workplace(CONFIG, {**os.environ, "RECSERVE_HOME": str(folder)}, ROOT)


def make_shop(workplace: Workplace, progress: Progress) -> None:
    """Load and fit the demo shop unless a bundle is published that can be served."""
    if why_unservable(workplace) is None:
        return
    folder = workplace.location.home / "demo"
    progress("making the shop", 0.0)
    made = write_demo(make_demo(SHOP), folder)
    progress("making the shop", 1.0)
    load_files(
        workplace, InputFiles(made.items, made.users, made.interactions), LoadConfig(), progress
    )
    settings = yaml.safe_load((ROOT / "configs/fit.yaml").read_text())
    # Boosters as large as those of a shop with many users.
    variants = {
        name: {**each, "min_ranking_users": 0} for name, each in settings["variants"].items()
    }
    learnt = folder / "fit.yaml"
    learnt.write_text(yaml.safe_dump({**settings, **FIT, "variants": variants}))
    fit_bundle(workplace, learnt, progress)


def open_home(folder: Path, urls: StoreUrls, workplace: Workplace) -> Home:
    """Open the home: fill the seed service's tables and list the users in random order."""
    users = folder / "users.txt"
    home = Home(folder, users, workplace, urls)
    numbers = np.random.default_rng(SHOP.seed).permutation(SHOP.n_users)
    with workplace.database() as conn:
        known = [row[0] for row in conn.execute("SELECT user_id FROM user_features ORDER BY 1")]
    users.write_text("\n".join(known[i] for i in numbers if i < len(known)) + "\n")
    fill_seed(urls, home.bundle(), known)
    return home


def forget_answers(home: Home) -> None:
    """Remove all cached answers."""
    with redis.Redis.from_url(home.urls.redis) as client:
        for pattern in (f"recserve:*:{ANSWER_PREFIX}*", "recs:*"):
            for key in client.scan_iter(match=pattern, count=1_000):
                client.unlink(key)


def warm(home: Home) -> None:
    """Fill Redis with the features and histories of all users and items."""
    asyncio.run(_warm(home))


async def _warm(home: Home) -> None:
    cache = Cache(home.urls.redis, COMMAND_REDIS)
    shop = ShopReader(home.urls.database, PostgresConfig(timeout_s=20.0))
    ttls, bundle = CacheTtls(history_s=3_600), home.bundle()
    shop_id = bundle.manifest.shop_id
    own = cache.of_shop(shop_id), shop.of_shop(shop_id), ttls
    users, items, histories = user_reader(*own), item_reader(*own), HistoryReader(*own)
    types = kept_types(bundle.fitted.tables.ending_types)
    for ids in _chunks(home.user_ids()):
        await users.read(ids)
        await histories.read(ids, bundle.fitted.archive, types)
    for ids in _chunks(bundle.fitted.catalogue.item_ids.take(range(len(bundle.fitted.catalogue)))):
        await items.read(ids)
    await users.wait_written()
    await items.wait_written()
    await shop.close()
    await cache.close()


def _chunks(ids: list[str]) -> list[list[str]]:
    return [ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK)]
