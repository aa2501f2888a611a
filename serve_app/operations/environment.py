"""What ``serve run`` finds in its environment, and which ports it needs there."""

from collections.abc import Mapping
from pathlib import Path

from serve_app.errors import SettingsInvalid

DASHBOARD_PORT = 8265

# Set unless the environment says otherwise.
DEVELOPMENT_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # On one machine nobody routes to a replica that leaves; 30 s is for load balancers.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
}


def child_environment(environment: Mapping[str, str], profile: Mapping[str, str]) -> dict[str, str]:
    """
    Variables of the child: those of ``environment``, else of ``profile``, else for development.

    Args:
        environment: this process's variables.
        profile: what ``configs/fast.env`` says (:func:`parse_env_file`).
    """
    return {**DEVELOPMENT_ENVIRONMENT, **profile, **environment}


def parse_env_file(path: Path) -> dict[str, str]:
    """
    ``NAME=value`` lines; empty ones and those that start with ``#`` are left out.

    Raises:
        SettingsInvalid: no such file, or a line of another form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SettingsInvalid(str(path), f"cannot be read: {error.strerror}") from error
    variables = {}
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.isidentifier():
            raise SettingsInvalid(f"{path}:{number}", "must have the form NAME=value")
        variables[name] = value
    return variables


def needed_ports(http_port: int, environment: Mapping[str, str]) -> dict[int, str]:
    """
    What has to be free on this machine.

    Args:
        http_port: ``http_options.port`` of the configuration.
        environment: the child's variables.

    Returns:
        Purpose by port. With ``RAY_ADDRESS`` set none: the ports are those of that cluster.
    """
    if environment.get("RAY_ADDRESS"):
        return {}
    ports = {http_port: "HTTP", DASHBOARD_PORT: "Ray's dashboard"}
    if environment.get("RAY_SERVE_ENABLE_HA_PROXY") == "1":
        ports |= {
            int(environment.get(variable, default)): purpose
            for variable, default, purpose in (
                ("RAY_SERVE_FALLBACK_PROXY_HTTP_PORT", "8500", "Serve's proxy behind HAProxy"),
                ("RAY_SERVE_HAPROXY_METRICS_PORT", "9101", "HAProxy's metrics"),
                ("RAY_SERVE_HAPROXY_STATS_PORT", "8404", "HAProxy's statistics"),
            )
        }
    return ports
