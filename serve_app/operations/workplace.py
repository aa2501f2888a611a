"""What every command starts from: the settings, the stores, the place of the bundles."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from serve_app.bundles.roots import BundleLocation
from serve_app.embedded.lease import StoreUrls
from serve_app.errors import SettingsInvalid
from serve_app.operations.http_address import HttpAddress
from serve_app.operations.lint import lint, load_yaml
from serve_app.serving.config import (
    APPLICATION,
    AppConfig,
    IngressConfig,
    bundle_location,
    deployment_names,
    stages_in_ingress,
    store_location,
)
from serve_app.stores.cache import Cache, RedisConfig
from serve_app.stores.connections import StoreLocation
from serve_app.stores.postgres.schema import Connection, connect

Result = TypeVar("Result")
Model = TypeVar("Model", bound=BaseModel)

PATIENT = RedisConfig(timeout_s=5.0)
"""A command may wait longer than a request."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """
    Attributes:
        path: of the configuration file.
        serve: the whole file, in Ray's form.
        config: its ``args``.
        http: its ``http_options``.
    """

    path: Path
    serve: Mapping[str, Any]
    config: AppConfig
    location: StoreLocation
    bundles: BundleLocation
    http: HttpAddress

    @contextmanager
    def stores(self) -> Iterator[StoreUrls]:
        """
        The stores' URLs; embedded ones run at least as long as this lasts.

        Raises:
            EmbeddedStoresFailed: they are needed and do not start.
        """
        urls, held = self.location.urls()
        try:
            yield urls
        finally:
            if held is not None:
                held.close()

    @contextmanager
    def database(self) -> Iterator[Connection]:
        """
        Raises:
            SettingsInvalid: it does not answer.
            EmbeddedStoresFailed: it is needed and does not start.
        """
        with self.stores() as urls, connect(urls.database) as conn:
            yield conn


def open_workplace(path: Path, environment: Mapping[str, str], folder: Path) -> Workplace:
    """
    Args:
        path: ``serve_config.yaml``.
        folder: what relative paths in the environment are relative to.

    Raises:
        SettingsInvalid: the file, or a setting in it, is not as it must be.
    """
    serve = load_yaml(path)
    config = app_config(serve, path)
    http = _checked(HttpAddress, serve.get("http_options"), "http_options", path)
    location = store_location(environment, folder)
    return Workplace(path, serve, config, location, bundle_location(config, location.home), http)


def problems_of(workplace: Workplace) -> list[str]:
    """What Ray would ignore, refuse or regret about the configuration, and what we would."""
    variants, placement = workplace.config.variants, workplace.config.placement
    found = lint(
        workplace.serve,
        args_model=AppConfig,
        user_config_models={"Ingress": IngressConfig},
        deployments=deployment_names(variants, placement),
        in_ingress=stages_in_ingress(variants, placement),
    )
    if found:
        # Only what Ray accepts has the form in which it can be read any further.
        return found
    for deployment in _application(workplace.serve, workplace.path)["deployments"]:
        if deployment.get("name") == "Ingress" and deployment.get("user_config"):
            try:
                IngressConfig.model_validate(deployment["user_config"]).check(variants)
            except ValueError as error:
                found.append(f"Ingress.user_config: {error}")
    return found


async def with_cache(url: str, use: Callable[[Cache], Coroutine[Any, Any, Result]]) -> Result:
    """
    Raises:
        StoreUnavailable: no answer.
    """
    cache = Cache(url, PATIENT)
    try:
        return await use(cache)
    finally:
        await cache.close()


def use_cache(url: str, use: Callable[[Cache], Coroutine[Any, Any, Result]]) -> Result:
    """The same, from a command that has no event loop."""
    return asyncio.run(with_cache(url, use))


def _application(serve: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    listed = serve.get("applications") or []
    if not isinstance(listed, list):
        raise SettingsInvalid(str(path), "applications: must be a list of mappings")
    for application in listed:
        if isinstance(application, dict) and application.get("name") == APPLICATION:
            return application
    raise SettingsInvalid(str(path), f"has no application named {APPLICATION}")


def app_config(serve: Mapping[str, Any], path: Path) -> AppConfig:
    """
    The ``args`` of a configuration.

    Raises:
        SettingsInvalid: they are not as they must be.
    """
    return _checked(AppConfig, _application(serve, path).get("args"), "args", path)


def _checked(model: type[Model], value: Any, name: str, path: Path) -> Model:
    """A part of the file; defaults where there is nothing under its name."""
    if not isinstance(value, Mapping | None):
        raise SettingsInvalid(str(path), f"{name}: must be a mapping of keys to values")
    try:
        return model.model_validate(value or {})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, (name, *first["loc"])))
        raise SettingsInvalid(str(path), f"{place}: {first['msg']}") from error
