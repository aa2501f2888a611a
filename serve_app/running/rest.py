"""Calls the REST API of Ray Serve on the dashboard's port, and the application's health check."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from serve_app.errors import ServeUnreachable, SettingsInvalid

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
APPLICATIONS_PATH = "/api/serve/applications/"
TIMEOUT_S = 30.0

# Ray's answers to a missing and to a wrong token.
UNAUTHORIZED, FORBIDDEN = 401, 403


@dataclass(frozen=True, slots=True)
class ServeClient:
    """Reads and replaces the configuration that Serve runs.

    Attributes:
        address: address of the dashboard.
        token: Ray's bearer token; ``None`` when the cluster asks for none.
        timeout_s: longest time for one request.
    """

    address: str = DEFAULT_ADDRESS
    token: str | None = field(default=None, repr=False)
    timeout_s: float = TIMEOUT_S

    def details(self) -> dict[str, Any]:
        """Reads Serve's report of itself (``ray.serve.schema.ServeInstanceDetails``).

        Raises:
            ServeUnreachable: no answer, or the answer of another service.
        """
        response = self._call("GET")
        try:
            details = response.json()
        except requests.JSONDecodeError as error:
            raise ServeUnreachable(self.address, "the answer is not JSON") from error
        if not isinstance(details, dict) or "applications" not in details:
            raise ServeUnreachable(self.address, "the answer is not one of Serve's")
        return details

    def deploy(self, config: Mapping[str, Any]) -> None:
        """Replaces the configuration that Serve runs (``ray.serve.schema.ServeDeploySchema``).

        This returns at once; Serve then works towards the configuration.

        Raises:
            ServeUnreachable: no answer, or Serve refused the configuration.
        """
        self._call("PUT", config)

    def _call(self, method: str, body: Mapping[str, Any] | None = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        url = self.address.rstrip("/") + APPLICATIONS_PATH
        try:
            response = requests.request(
                method, url, json=body, headers=headers, timeout=self.timeout_s
            )
        except requests.RequestException as error:
            raise ServeUnreachable(self.address, _plain_reason(error)) from error
        if response.status_code != requests.codes.ok:
            raise ServeUnreachable(self.address, _refusal(response, has_token=bool(self.token)))
        return response


def ray_token(environment: Mapping[str, str], home: Path) -> str | None:
    """Finds the token that Ray's own clients would send, or ``None``.

    The order is Ray's: ``RAY_AUTH_TOKEN``, the file named by ``RAY_AUTH_TOKEN_PATH``,
    ``~/.ray/auth_token`` below ``home``. ``RAY_AUTH_MODE=disabled`` sends none.

    Raises:
        SettingsInvalid: ``RAY_AUTH_TOKEN_PATH`` names a file that cannot be read.
    """
    if environment.get("RAY_AUTH_MODE", "").lower() == "disabled":
        return None
    if token := environment.get("RAY_AUTH_TOKEN", "").strip():
        return token
    if named := environment.get("RAY_AUTH_TOKEN_PATH"):
        try:
            return Path(named).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsInvalid("RAY_AUTH_TOKEN_PATH", f"{named}: {error.strerror}") from error
    default = home / ".ray" / "auth_token"
    return default.read_text(encoding="utf-8").strip() if default.is_file() else None


def health_of(url: str) -> dict[str, Any] | None:
    """Reads the answer of ``GET /health`` of the application; ``None`` without a usable one."""
    try:
        answer = requests.get(f"{url}/health", timeout=5).json()
    except (requests.RequestException, ValueError):  # ValueError: another service, without JSON
        return None
    return answer if isinstance(answer, dict) else None


def application_of(details: Mapping[str, Any], name: str, address: str) -> dict[str, Any]:
    """Finds Serve's report of one application (``ray.serve.schema.ApplicationDetails``).

    Raises:
        ServeUnreachable: Serve runs no such application.
    """
    applications: Mapping[str, dict[str, Any]] = details["applications"]
    if name not in applications:
        running = ", ".join(sorted(applications)) or "nothing"
        reason = f"no application {name!r}; it runs {running}: start it with `recserve run`"
        raise ServeUnreachable(address, reason)
    return applications[name]


def _plain_reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "nothing answers there; is the service running? `recserve run` starts it"
    return str(error)


def _refusal(response: requests.Response, *, has_token: bool) -> str:
    if response.status_code == UNAUTHORIZED or (response.status_code == FORBIDDEN and has_token):
        hint = "this token is not the cluster's" if has_token else "the cluster asks for a token"
        return f"{hint}: set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
    return f"HTTP {response.status_code}: {response.text.strip()[:500]}"
