"""Reads the environment of ``serve run``: variables, the HTTP address, and the ports it needs."""

import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, Field

from serve_app.errors import PortTaken, SettingsInvalid

DASHBOARD_PORT = 8265

HAPROXY_PROGRAM = "recserve-haproxy"
"""See ``running.haproxy``. It is missing where only the source code is."""

# Set unless the environment says otherwise.
DEVELOPMENT_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Draining waits for load balancers to notice (30 s by default). One machine has none.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
}

_HAPROXY_PORTS: Mapping[str, tuple[str, str]] = {
    "Serve's proxy behind HAProxy": ("RAY_SERVE_FALLBACK_PROXY_HTTP_PORT", "8500"),
    "HAProxy's metrics": ("RAY_SERVE_HAPROXY_METRICS_PORT", "9101"),
    "HAProxy's statistics": ("RAY_SERVE_HAPROXY_STATS_PORT", "8404"),
}
"""Variable and default of each port, by its purpose."""

_REMEDIES: Mapping[str, str] = {
    "HTTP": "change http_options.port in serve_config.yaml, which `recserve init` writes",
    "Ray's dashboard": "use the cluster that listens there (RAY_ADDRESS)",
    **{
        purpose: f"set {variable} to another port"
        for purpose, (variable, _) in _HAPROXY_PORTS.items()
    },
}
"""What to do instead of stopping the other process, by the purpose of the port."""

# An address that listens on every interface is reached on the machine's own interface.
_LOOPBACK: Mapping[str, str] = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


class HttpAddress(BaseModel):
    """The address of the HTTP API, from Ray's ``http_options``, with Ray's own defaults.

    The port is checked here because Ray accepts any integer and fails only when it listens.
    """

    # `recserve doctor` checks the other keys against Ray's own schema.
    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str = "0.0.0.0"
    port: int = Field(default=8000, ge=1, le=65_535)

    @property
    def url(self) -> str:
        """The URL at which this machine reaches the API, without a trailing slash."""
        host = _LOOPBACK.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def child_environment(
    environment: Mapping[str, str], profile: Mapping[str, str], programs: Path | None = None
) -> dict[str, str]:
    """Builds the environment of Serve; ours wins over the profile, the profile over the defaults.

    Args:
        programs: folder of the installed programs; ``None`` for that of this interpreter.
    """
    haproxy = (programs or Path(sys.executable).parent) / HAPROXY_PROGRAM
    own = {"RAY_SERVE_HAPROXY_BINARY_PATH": str(haproxy)} if haproxy.is_file() else {}
    return {**DEVELOPMENT_ENVIRONMENT, **own, **profile, **environment}


def parse_env_file(path: Path) -> dict[str, str]:
    """Reads ``NAME=value`` lines. Empty lines and lines that start with ``#`` are ignored.

    Raises:
        SettingsInvalid: the file cannot be read, or a line has another form.
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
    """Lists the ports of this machine that Serve will listen on: purpose by port.

    There are none when ``RAY_ADDRESS`` is set: that cluster's machines listen then.
    """
    if environment.get("RAY_ADDRESS"):
        return {}
    ports = {http_port: "HTTP", DASHBOARD_PORT: "Ray's dashboard"}
    if environment.get("RAY_SERVE_ENABLE_HA_PROXY") == "1":
        ports |= {
            int(environment.get(variable, default)): purpose
            for purpose, (variable, default) in _HAPROXY_PORTS.items()
        }
    return ports


def is_free(port: int) -> bool:
    """Tells whether no process listens on ``port`` on any IPv4 interface of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Connections of an earlier run that linger in TIME_WAIT do not count as listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
            # With SO_REUSEADDR two sockets can bind the port, but only one can listen.
            probe.listen(1)
        except OSError:
            return False
        return True


def ensure_free(ports: Mapping[int, str]) -> None:
    """Checks that this machine can listen on every port; ``ports`` has a purpose by port.

    Raises:
        PortTaken: another process listens on one of them.
    """
    for port, purpose in ports.items():
        if not is_free(port):
            remedy = _REMEDIES.get(purpose, "use another port")
            raise PortTaken(port, purpose, holder_of(port), remedy)


def holder_of(port: int) -> str:
    """Names the process that listens on ``port``. Other users' processes may stay unknown."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:  # not every system lets every user look
        connections = []
    for connection in connections:
        is_listening = connection.status == psutil.CONN_LISTEN
        # An address is a pair of host and port.
        if is_listening and connection.laddr[1:] == (port,) and connection.pid is not None:
            return f"process {connection.pid} ({_name_of(connection.pid)})"
    return "another process"


def _name_of(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:  # it has just ended
        return "ended since"
