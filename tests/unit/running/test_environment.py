import os
import socket

import psutil
import pytest

from serve_app.errors import PortTaken, SettingsInvalid
from serve_app.running.environment import (
    HAPROXY_PROGRAM,
    child_environment,
    ensure_free,
    holder_of,
    is_free,
    needed_ports,
    parse_env_file,
)


@pytest.fixture
def listener():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def test_names_the_port_in_use_and_its_purpose(listener):
    port = listener.getsockname()[1]

    with pytest.raises(PortTaken, match=rf"port {port} \(HTTP\) is in use"):
        ensure_free({port: "HTTP"})


def test_names_the_process_that_listens_and_what_to_change(listener):
    port = listener.getsockname()[1]

    with pytest.raises(PortTaken) as refused:
        ensure_free({port: "HTTP"})

    assert f"by process {os.getpid()} (" in str(refused.value)
    assert "change http_options.port in serve_config.yaml" in str(refused.value)
    assert "`recserve init` writes" in str(refused.value)


def test_a_listener_of_an_unknown_process_is_another_process(listener, monkeypatch):
    def refuse(kind):
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", refuse)

    assert holder_of(listener.getsockname()[1]) == "another process"


def test_a_port_is_free_once_its_listener_is_closed(listener):
    port = listener.getsockname()[1]
    listener.close()

    ensure_free({port: "HTTP"})


def test_checking_a_port_leaves_it_free(listener):
    port = listener.getsockname()[1]
    listener.close()

    assert is_free(port)
    assert is_free(port)


def test_variables_that_are_set_win_over_the_profile():
    child = child_environment(
        {"A": "mine", "RAY_USAGE_STATS_ENABLED": "1"}, {"A": "profile", "B": "profile"}
    )

    assert (child["A"], child["B"], child["RAY_USAGE_STATS_ENABLED"]) == (
        "mine",
        "profile",
        "1",
    )
    assert child["RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S"] == "1"


def test_serve_starts_our_haproxy_where_it_is_installed(tmp_path):
    without = child_environment({}, {}, programs=tmp_path)
    (tmp_path / HAPROXY_PROGRAM).touch()
    found = child_environment({}, {}, programs=tmp_path)

    assert "RAY_SERVE_HAPROXY_BINARY_PATH" not in without
    assert found["RAY_SERVE_HAPROXY_BINARY_PATH"] == str(tmp_path / HAPROXY_PROGRAM)


class TestEnvFiles:
    def test_read_names_and_values(self, tmp_path):
        path = tmp_path / "some.env"
        path.write_text("# why\n\nA=1\nB_2=x=y # z\n")

        assert parse_env_file(path) == {"A": "1", "B_2": "x=y # z"}

    @pytest.mark.parametrize("line", ["A", "export A=1", "=1"])
    def test_name_the_line_with_a_wrong_form(self, tmp_path, line):
        path = tmp_path / "some.env"
        path.write_text(f"A=1\n{line}\n")

        with pytest.raises(SettingsInvalid, match=r"some\.env:2: must have the form"):
            parse_env_file(path)

    def test_name_a_missing_file(self, tmp_path):
        with pytest.raises(SettingsInvalid, match="No such file"):
            parse_env_file(tmp_path / "none.env")


class TestNeededPorts:
    def test_haproxy_needs_more_ports(self):
        assert set(needed_ports(8000, {})) == {8000, 8265}
        assert set(needed_ports(8000, {"RAY_SERVE_ENABLE_HA_PROXY": "1"})) == {
            *(8000, 8265, 8500, 9101, 8404)
        }

    def test_the_variables_of_haproxy_change_its_ports(self):
        environment = {
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_HAPROXY_METRICS_PORT": "9999",
        }

        assert 9999 in needed_ports(8000, environment)
        assert 9101 not in needed_ports(8000, environment)

    def test_a_cluster_elsewhere_needs_no_ports_here(self):
        assert needed_ports(8000, {"RAY_ADDRESS": "10.0.0.1:6379"}) == {}
