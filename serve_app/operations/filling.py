"""From files to something that can be served: load, fit, and forgetting what has been cached."""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from serve_app.domain.manifest import Manifest
from serve_app.errors import SettingsInvalid, StoreUnavailable
from serve_app.offline.demo import DemoConfig, make_demo, write_demo
from serve_app.offline.fit import FitConfig
from serve_app.offline.load import LoadConfig, LoadFiles, LoadSummary, load
from serve_app.offline.publish import fit_and_publish
from serve_app.operations.lint import load_yaml
from serve_app.operations.workplace import Workplace, use_cache
from serve_app.stores.bundle import current_version
from serve_app.stores.cache import ANSWER_PREFIX, forget_prefix
from serve_app.stores.redis_cache import RedisCache
from serve_app.stores.schema import connect, ensure_schema
from serve_app.stores.user_state import CACHE_PREFIXES
from serve_app.stores.warehouse import busiest_user, holds_items

Announce = Callable[[str], None]
Progress = Callable[[str, float], None]
"""Is told what is being done, and the share of it that is done, 0 … 1."""

_FITTED_PREFIXES = (*CACHE_PREFIXES, ANSWER_PREFIX)


def load_files(
    workplace: Workplace, files: LoadFiles, config: LoadConfig, progress: Progress
) -> LoadSummary:
    """
    Load, and forget what the caches say of before.

    Raises:
        DataRejected: nothing was loaded; says why.
    """
    with workplace.stores() as urls, connect(urls.database) as conn:
        summary = load(
            conn,
            files,
            config,
            lambda file, share: progress(f"loading {file.name}", share),
            now_at=time.time(),
        )
        forget_cached(urls.redis)
    return summary


def fit_bundle(workplace: Workplace, settings: Path, progress: Progress) -> Manifest:
    """
    Fit what the configuration serves, publish it, and forget what the caches say of before.

    Args:
        settings: ``configs/fit.yaml``.

    Raises:
        NotEnoughData: too little to learn from; what is served stays.
        SettingsInvalid: the settings are not as they must be.
    """
    config = fit_config(workplace, settings)
    with workplace.stores() as urls, connect(urls.database) as conn:
        ensure_schema(conn)
        root = workplace.bundles.root
        manifest = fit_and_publish(conn, root, config, progress, created_at=time.time())
        forget_cached(urls.redis)
    return manifest


def fit_config(workplace: Workplace, settings: Path) -> FitConfig:
    """
    The settings of the fit. Candidates are found as they are when serving, from histories of the
    same length: a model learns to tell apart what it will be shown.

    Raises:
        SettingsInvalid: they are not as they must be.
    """
    written = load_yaml(settings)
    if "candidates" in written:
        raise SettingsInvalid(
            str(settings), "candidates: are set in args.candidates of serve_config.yaml"
        )
    try:
        config = FitConfig.model_validate({**written, "candidates": workplace.config.candidates})
        config = _with_histories_as_served(config, workplace)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise SettingsInvalid(str(settings), f"{place}: {first['msg']}") from error
    missing = sorted(set(workplace.config.variants) - set(config.variants))
    if missing:
        raise SettingsInvalid(
            str(settings), f"variants: {', '.join(missing)} served but not described"
        )
    return config


def _with_histories_as_served(config: FitConfig, workplace: Workplace) -> FitConfig:
    limit = workplace.config.stores.postgres.max_events_per_user
    snapshot = config.snapshot.model_copy(update={"max_events_per_user": limit})
    return config.model_copy(update={"snapshot": snapshot})


def forget_cached(redis_url: str) -> None:
    """
    Forget everything that was computed from what has been replaced.

    Raises:
        SettingsInvalid: Redis does not answer. What was loaded or published is in use all the
            same; what Redis holds of before is given until its time to live is over.
    """

    async def forget(cache: RedisCache) -> None:
        for prefix in _FITTED_PREFIXES:
            await forget_prefix(cache, prefix)

    try:
        use_cache(redis_url, forget)
    except StoreUnavailable as failure:
        raise SettingsInvalid("REDIS_URL", f"the caches are not emptied: {failure}") from failure


def fill_when_empty(
    workplace: Workplace, fit_settings: Path, announce: Announce, progress: Progress
) -> None:
    """A demo shop where there are no items, and a bundle where there is none."""
    with workplace.database() as conn:
        ensure_schema(conn)
        is_empty = not holds_items(conn)
    if is_empty:
        announce("the store is empty: making a demo shop and loading it")
        with TemporaryDirectory(dir=workplace.location.home) as folder:
            made = write_demo(make_demo(DemoConfig()), Path(folder))
            files = LoadFiles(made.items, made.users, made.interactions)
            load_files(workplace, files, LoadConfig(), progress)
    if current_version(workplace.bundles.root) is None:
        announce("nothing has been published: fitting the models")
        manifest = fit_bundle(workplace, fit_settings, progress)
        announce(f"published bundle {manifest.version}")


def somebody(workplace: Workplace) -> str:
    """A user to try a request with."""
    with workplace.database() as conn:
        return busiest_user(conn) or "anybody"
