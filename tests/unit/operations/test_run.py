import os
import signal
import socket
import sys

import psutil
import pytest

from serve_app.errors import PortTaken, ServeUnreachable, SettingsInvalid
from serve_app.operations import run
from serve_app.operations.environment import child_environment, needed_ports, parse_env_file
from serve_app.operations.run import Service, deploy_failure, ready_message, run_service

# Says that it is up: before that, Python would not yet take SIGINT for an order.
WAITS = "import time; print('up', flush=True); time.sleep(60)"

# A service whose own child writes down its process number and outlives a parent that is killed.
WITH_CHILD = """
import signal, subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
)
{end}
print("child", child.pid, flush=True)
time.sleep(60)
"""
IGNORES_SIGINT = "signal.signal(signal.SIGINT, signal.SIG_IGN)"


@pytest.fixture
def make_service(tmp_path):
    def make(code, failure=lambda: None):
        return Service(
            command=[sys.executable, "-c", code],
            environment=dict(os.environ),
            ready_url="http://test/ready",
            log=tmp_path / "logs" / "serve.log",
            failure=failure,
        )

    return make


def run_with(service, monkeypatch, answers, said, **options):
    monkeypatch.setattr(run, "_answers", answers)
    return run_service(service, ports={}, ready="ready", announce=said.append, **options)


def child_of(service):
    [line] = [one for one in service.log.read_text().splitlines() if one.startswith("child")]
    return int(line.split()[1])


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class TestRunService:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_ends_well_when_it_is_told_to_stop(self, make_service, monkeypatch, number):
        said = []

        def announce(text):
            said.append(text)
            if text == "ready":
                os.kill(os.getpid(), number)

        service = make_service(WAITS)
        monkeypatch.setattr(run, "_answers", lambda url: "up" in service.log.read_text())

        code = run_service(service, ports={}, ready="ready", announce=announce)

        assert code == 0
        assert said == ["ready", "stopping"]

    def test_gives_the_signals_back(self, make_service, monkeypatch):
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

        run_with(make_service("pass"), monkeypatch, lambda url: False, [])

        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before

    def test_shows_the_end_of_the_log_when_the_service_ends_by_itself(
        self, make_service, monkeypatch
    ):
        said = []
        service = make_service("print('no such module'); raise SystemExit(3)")

        assert run_with(service, monkeypatch, lambda url: False, said) == 1
        assert said[0].startswith("the service ended by itself.")
        assert said[0].endswith("no such module")

    def test_notices_that_a_service_that_answered_has_ended(self, make_service, monkeypatch):
        said = []
        service = make_service("print('out of memory')")

        code = run_with(service, monkeypatch, lambda url: True, said)

        assert code == 1
        assert said[-1].endswith("out of memory")

    def test_says_why_serve_gave_up(self, make_service, monkeypatch):
        said = []
        log = make_service("").log
        service = make_service(
            WAITS, failure=lambda: "no bundle" if "up" in log.read_text() else None
        )

        assert run_with(service, monkeypatch, lambda url: False, said) == 1
        assert "no bundle" in said[0]
        assert said[-1] == "stopping"

    def test_gives_up_after_the_deadline(self, make_service, monkeypatch):
        said = []
        service = make_service("import time; time.sleep(60)")

        code = run_with(service, monkeypatch, lambda url: False, said, start_deadline_s=0.0)

        assert code == 1
        assert said[0].startswith("no answer in 0 s.")

    @pytest.mark.parametrize("end", ["", IGNORES_SIGINT])
    def test_leaves_no_process_behind(self, make_service, monkeypatch, tmp_path, end):
        log = tmp_path / "logs" / "serve.log"
        service = make_service(
            WITH_CHILD.format(end=end),
            failure=lambda: "enough" if "child" in log.read_text() else None,
        )
        monkeypatch.setattr(run, "KILL_DEADLINE_S", 0.2)
        said = []

        run_with(service, monkeypatch, lambda url: False, said, stop_deadline_s=1.0)

        assert not is_running(child_of(service))
        assert ("it did not end within 1 s and is killed" in said) is bool(end)

    def test_starts_nothing_when_a_port_is_taken(self, make_service):
        service = make_service("pass")
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()

            with pytest.raises(PortTaken):
                run_service(
                    service,
                    ports={listener.getsockname()[1]: "HTTP"},
                    ready="",
                    announce=lambda text: None,
                )

        assert not service.log.exists()


class TestEnvironment:
    def test_reads_names_and_values(self, tmp_path):
        path = tmp_path / "some.env"
        path.write_text("# why\n\nA=1\nB_2=x=y # z\n")

        assert parse_env_file(path) == {"A": "1", "B_2": "x=y # z"}

    @pytest.mark.parametrize("line", ["A", "export A=1", "=1"])
    def test_names_the_line_that_is_none(self, tmp_path, line):
        path = tmp_path / "some.env"
        path.write_text(f"A=1\n{line}\n")

        with pytest.raises(SettingsInvalid, match=r"some\.env:2: must have the form"):
            parse_env_file(path)

    def test_names_a_file_that_is_missing(self, tmp_path):
        with pytest.raises(SettingsInvalid, match="No such file"):
            parse_env_file(tmp_path / "none.env")

    def test_what_is_set_already_wins_over_the_profile(self):
        child = child_environment(
            {"A": "mine", "RAY_USAGE_STATS_ENABLED": "1"}, {"A": "profile", "B": "profile"}
        )

        assert (child["A"], child["B"], child["RAY_USAGE_STATS_ENABLED"]) == (
            "mine",
            "profile",
            "1",
        )
        assert child["RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S"] == "1"


class TestNeededPorts:
    def test_needs_more_behind_haproxy(self):
        assert set(needed_ports(8000, {})) == {8000, 8265}
        assert set(needed_ports(8000, {"RAY_SERVE_ENABLE_HA_PROXY": "1"})) == {
            *(8000, 8265, 8500, 9101, 8404)
        }

    def test_follows_the_variables_of_haproxy(self):
        environment = {
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_HAPROXY_METRICS_PORT": "9999",
        }

        assert 9999 in needed_ports(8000, environment)
        assert 9101 not in needed_ports(8000, environment)

    def test_needs_none_here_when_the_cluster_is_elsewhere(self):
        assert needed_ports(8000, {"RAY_ADDRESS": "10.0.0.1:6379"}) == {}


class TestDeployFailure:
    @pytest.mark.parametrize(
        ("status", "message", "failure"),
        [
            ("RUNNING", "", None),
            ("DEPLOYING", "", None),
            ("DEPLOY_FAILED", " no bundle\n", "no bundle"),
            ("DEPLOY_FAILED", "", "Serve gives no reason"),
        ],
    )
    def test_is_what_serve_says(self, status, message, failure):
        class FakeServe:
            address = "http://serve"

            def details(self):
                return {"applications": {"recserve": {"status": status, "message": message}}}

        assert deploy_failure(FakeServe()) == failure

    def test_is_none_while_serve_does_not_answer(self):
        class NoServe:
            address = "http://serve"

            def details(self):
                raise ServeUnreachable(self.address, "refused")

        assert deploy_failure(NoServe()) is None


def test_the_ready_message_has_a_request_that_a_shell_takes():
    message = ready_message("http://127.0.0.1:8000", "u1")

    assert "http://127.0.0.1:8000/docs" in message
    assert """-d '{"user_id": "u1"}'""" in message
