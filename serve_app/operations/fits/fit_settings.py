"""Reads the settings of a fit and of an evaluation, and aligns them with what is served."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from serve_app.errors import SettingsInvalid
from serve_app.evaluation.served import ServedConfig
from serve_app.fitting.fit_config import FitConfig
from serve_app.operations.workplace import Workplace, app_config, first_fault
from serve_app.operations.yaml_file import load_yaml
from serve_app.serving.config import AppConfig

# Fits must use the served values of these, so their own file may not set them.
_SET_BY_THE_APPLICATION = {"candidates", "ranking"}


def fit_config(workplace: Workplace, settings: Path) -> FitConfig:
    """Reads the settings of a fit for the configured application.

    Raises:
        SettingsInvalid: a setting is not allowed, or a served variant is not described.
    """
    config = read_fit_settings(settings, workplace.config)
    check_variants(workplace.config.variants, config, settings)
    return config


def ours_config(
    config: Path | None, settings: Path | None, *, n_threads: int | None = None
) -> ServedConfig:
    """Reads the settings of an evaluation: the first served variant, with candidates and ranking.

    Args:
        config: path of ``serve_config.yaml``; ``None`` takes the defaults.
        settings: path of ``configs/fit.yaml``; ``None`` takes the defaults.
        n_threads: threads that train the booster; ``None`` takes the number of the settings.

    Raises:
        SettingsInvalid: a file has a fault, or the two contradict each other.
    """
    app = AppConfig() if config is None else app_config(load_yaml(config), config)
    if settings is None:
        fit = as_served(ServedConfig().fit, app)
    else:
        fit = read_fit_settings(settings, app)
        if config is not None:
            check_variants(app.variants, fit, settings)
    changed = {
        "variants": {fit.main: fit.variants[fit.main]},
        "n_threads": fit.n_threads if n_threads is None else n_threads,
    }
    return ServedConfig(fit=fit.model_copy(update=changed), ranking=app.ranking)


def read_fit_settings(settings: Path, app: AppConfig) -> FitConfig:
    """Reads ``configs/fit.yaml`` and takes the rest from the served configuration.

    Raises:
        SettingsInvalid: a setting is not allowed.
    """
    content = load_yaml(settings)
    for name in _SET_BY_THE_APPLICATION & content.keys():
        reason = f"{name}: is set in args.{name} of serve_config.yaml"
        raise SettingsInvalid(str(settings), reason)
    try:
        return as_served(FitConfig.model_validate(content), app)
    except ValidationError as error:
        raise SettingsInvalid(str(settings), first_fault(error)) from error


def check_variants(served: Sequence[str], config: FitConfig, settings: Path) -> None:
    """Checks that every served variant is described; raises SettingsInvalid otherwise."""
    missing = sorted(set(served) - set(config.variants))
    if missing:
        reason = f"variants: {', '.join(missing)} served but not described: add them here"
        raise SettingsInvalid(str(settings), reason)


def as_served(config: FitConfig, app: AppConfig) -> FitConfig:
    """Settings of a fit with the served candidates, history length and ranking.

    A booster must be trained on the candidates that it will score. The served variants come
    first, in their served order: the gate judges the first one.
    """
    described = config.variants
    first = {name: described[name] for name in app.variants if name in described}
    limit = app.stores.postgres.max_events_per_user
    served = {
        "variants": {**first, **described},
        "candidates": app.candidates,
        "ranking": app.ranking,
        "snapshot": config.snapshot.model_copy(update={"max_events_per_user": limit}),
    }
    return config.model_copy(update=served)
