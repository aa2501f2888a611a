"""Opens what every command needs: the configuration, the stores, and the location of bundles."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from serve_app.bundles.roots import BundleLocation
from serve_app.database.schema import Connection, connect
from serve_app.embedded.lease import StoreUrls, is_kept
from serve_app.errors import SettingsInvalid
from serve_app.operations.config_lint import Application, lint
from serve_app.operations.faults import NOT_A_MAPPING
from serve_app.operations.yaml_file import load_yaml
from serve_app.running.environment import HttpAddress
from serve_app.serving.config import (
    APPLICATION,
    AppConfig,
    IngressConfig,
    bundle_location,
    deployment_names,
    stages_in_ingress,
    store_location,
)
from serve_app.stores.connections import StoreLocation

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Workplace:
    """The configuration of the application, and where its data are.

    Attributes:
        serve: contents of the whole configuration file, in Ray's form.
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
        """Yields the URLs of the stores; embedded stores run until the context ends.

        Raises:
            EmbeddedStoresFailed: the embedded stores are needed and do not start.
        """
        urls, held = self.location.urls()
        try:
            yield urls
        finally:
            if held is not None:
                held.close()

    @contextmanager
    def stores_that_run(self) -> Iterator[StoreUrls | None]:
        """Yields the URLs of the stores; ``None`` for embedded stores that do not run.

        For commands that only look: they start nothing, and make no folder.
        """
        location = self.location
        if not (location.database_url and location.redis_url) and not is_kept(location.home):
            yield None
            return
        with self.stores() as urls:
            yield urls

    @contextmanager
    def database(self) -> Iterator[Connection]:
        """Connects to the database.

        Raises:
            SettingsInvalid: the database does not answer.
            EmbeddedStoresFailed: the embedded stores are needed and do not start.
        """
        with self.stores() as urls, connect(urls.database) as conn:
            yield conn


def open_workplace(path: Path, environment: Mapping[str, str], folder: Path) -> Workplace:
    """Reads the configuration and locates the data.

    Args:
        folder: relative paths in the environment start here.

    Raises:
        SettingsInvalid: the file cannot be read, or one of its settings is not allowed.
    """
    serve = load_yaml(path)
    config = app_config(serve, path)
    http = _validate(HttpAddress, serve.get("http_options"), "http_options", path)
    location = store_location(environment, folder)
    return Workplace(path, serve, config, location, bundle_location(config, location.home), http)


def problems_of(workplace: Workplace) -> list[str]:
    """Lists every fault of the configuration: those that Ray would find, and ours."""
    variants, placement = workplace.config.variants, workplace.config.placement
    application = Application(
        name=APPLICATION,
        args_model=AppConfig,
        user_config_models={"Ingress": IngressConfig},
        deployments=deployment_names(variants, placement),
        in_ingress=stages_in_ingress(variants, placement),
    )
    # Reading further would fail on a file whose form Ray does not accept.
    if problems := lint(workplace.serve, application):
        return problems
    for deployment in _application(workplace.serve, workplace.path)["deployments"]:
        if deployment.get("name") == "Ingress" and deployment.get("user_config"):
            try:
                IngressConfig.model_validate(deployment["user_config"]).check(variants)
            except ValueError as error:
                problems.append(f"Ingress.user_config: {error}")
    return problems


def deployments_of(workplace: Workplace) -> list[Mapping[str, Any]]:
    """The deployments of the application, as they stand in the file."""
    return list(_application(workplace.serve, workplace.path).get("deployments") or [])


def app_config(serve: Mapping[str, Any], path: Path) -> AppConfig:
    """Reads the ``args`` of the application.

    Raises:
        SettingsInvalid: the application is missing, or one of its settings is not allowed.
    """
    return _validate(AppConfig, _application(serve, path).get("args"), "args", path)


def first_fault(error: ValidationError, *above: str) -> str:
    """Describes the first fault that pydantic found, with its position below ``above``."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, (*above, *first['loc'])))}: {first['msg']}"


def _application(serve: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    listed = serve.get("applications") or []
    if not isinstance(listed, list):
        raise SettingsInvalid(str(path), "applications: must be a list of mappings")
    for application in listed:
        if isinstance(application, dict) and application.get("name") == APPLICATION:
            return application
    raise SettingsInvalid(str(path), f"has no application named {APPLICATION}")


def _validate(model: type[Model], value: Any, name: str, path: Path) -> Model:
    """Validates a part of the file; a missing part has the defaults of its model."""
    if not isinstance(value, Mapping | None):
        raise SettingsInvalid(str(path), f"{name}: {NOT_A_MAPPING}")
    try:
        return model.model_validate(value or {})
    except ValidationError as error:
        raise SettingsInvalid(str(path), first_fault(error, name)) from error
