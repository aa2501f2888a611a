"""What is evaluated: what the files of the application say is fitted and served."""

from pathlib import Path

from serve_app.evaluation.served import OursConfig
from serve_app.operations.filling import as_served, check_variants, read_fit_settings
from serve_app.operations.lint import load_yaml
from serve_app.operations.workplace import app_config
from serve_app.serving.config import AppConfig


def ours_config(
    config: Path | None, settings: Path | None, *, n_threads: int | None = None
) -> OursConfig:
    """
    Candidates and ranking as they are served, of the first variant that is.

    Args:
        config: ``serve_config.yaml``; defaults when ``None``.
        settings: ``configs/fit.yaml``; defaults when ``None``.
        n_threads: that train a model; nothing else works beside it here. ``None``: as the settings
            say.

    Raises:
        SettingsInvalid: a file is not as it must be, or they do not fit together.
    """
    app = AppConfig() if config is None else app_config(load_yaml(config), config)
    if settings is None:
        fit = as_served(OursConfig().fit, app)
    else:
        fit = read_fit_settings(settings, app)
        if config is not None:
            check_variants(app.variants, fit, settings)
    changed = {
        "variants": {fit.main: fit.variants[fit.main]},
        "n_threads": fit.n_threads if n_threads is None else n_threads,
    }
    return OursConfig(fit=fit.model_copy(update=changed), ranking=app.ranking)
