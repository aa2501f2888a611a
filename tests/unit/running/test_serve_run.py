import os
import signal
import socket
import sys

import psutil
import pytest

from serve_app.errors import PortTaken, ServeUnreachable
from serve_app.running import serve_run
from serve_app.running.serve_run import Service, deploy_failure, run_service

# Prints "up" first: before that, Python would not yet handle SIGINT.
WAITS = "import time; print('up', flush=True); time.sleep(60)"

# A service whose child process outlives it when it is killed.
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
    def make(code, failure=lambda: None, why_gone=lambda now_s: None):
        return Service(
            command=[sys.executable, "-c", code],
            environment=dict(os.environ),
            ready_url="http://test/ready",
            home=tmp_path,
            log=tmp_path / "logs" / "serve.log",
            failure=failure,
            why_gone=why_gone,
        )

    return make


def run_with(service, monkeypatch, answers, said, **options):
    monkeypatch.setattr(serve_run, "_answers", answers)
    return run_service(service, ports={}, ready=lambda: "ready", announce=said.append, **options)


def child_of(service):
    lines = service.log.read_text().splitlines()
    [line] = [line for line in lines if line.startswith("child")]
    return int(line.split()[1])


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def _heard():
    """Signals count, even where a shell or ``nohup`` made this process ignore them."""
    defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, default) for number, default in defaults.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class TestRunService:
    @pytest.mark.usefixtures("_heard")
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_ends_with_code_0_after_a_signal_to_stop(self, make_service, monkeypatch, number):
        said = []

        def announce(text):
            said.append(text)
            if text == "ready":
                os.kill(os.getpid(), number)

        service = make_service(WAITS)
        monkeypatch.setattr(serve_run, "_answers", lambda url: "up" in service.log.read_text())

        code = run_service(service, ports={}, ready=lambda: "ready", announce=announce)

        assert code == 0
        assert said == ["ready", "stopping"]

    def test_ends_a_child_by_sigint_though_the_shell_ignored_it_for_both(
        self, make_service, monkeypatch
    ):
        said = []

        def announce(text):
            said.append(text)
            if text == "ready":
                os.kill(os.getpid(), signal.SIGINT)  # still ignored
                os.kill(os.getpid(), signal.SIGTERM)

        service = make_service(WAITS)
        monkeypatch.setattr(serve_run, "_answers", lambda url: "up" in service.log.read_text())
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            run_service(
                service, ports={}, ready=lambda: "ready", announce=announce, stop_deadline_s=5
            )
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        finally:
            signal.signal(signal.SIGINT, before)

        assert said == ["ready", "stopping"]

    def test_restores_the_signal_handlers(self, make_service, monkeypatch):
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

    def test_reports_a_service_that_ends_after_it_answered(self, make_service, monkeypatch):
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

    def test_ends_when_the_service_is_gone_although_its_process_waits(
        self, make_service, monkeypatch
    ):
        said = []
        service = make_service(WAITS, why_gone=lambda now_s: "nothing answers")

        code = run_with(service, monkeypatch, lambda url: "up" in service.log.read_text(), said)

        assert code == 1
        assert said[:2] == ["ready", said[1]]
        assert said[1].startswith("the service is over: nothing answers.")

    @pytest.mark.parametrize("is_ready", [True, False])
    def test_ends_when_a_process_of_ray_that_nobody_restarts_has_ended(
        self, make_service, monkeypatch, is_ready
    ):
        said = []
        service = make_service(WITH_CHILD.format(end=""))
        core = iter([[], [], ["raylet"]])
        monkeypatch.setattr(serve_run.Core, "ended", lambda self: next(core))
        # The child's child never ends by itself.
        monkeypatch.setattr(serve_run, "ENDING_DEADLINE_S", 0.2)

        assert run_with(service, monkeypatch, lambda url: is_ready, said) == 1
        assert "the service is over: Ray's raylet ended." in said[-2 if "stopping" in said else -1]

    @pytest.mark.usefixtures("_heard")
    def test_a_closed_terminal_keeps_no_process_alive(self, make_service, monkeypatch, tmp_path):
        service = make_service(WITH_CHILD.format(end=""))

        def announce(text):
            os.kill(os.getpid(), signal.SIGHUP)
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(serve_run, "_answers", lambda url: "child" in service.log.read_text())
        monkeypatch.setattr(serve_run, "ENDING_DEADLINE_S", 0.2)

        assert run_service(service, ports={}, ready=str, announce=announce) == 0
        assert not is_running(child_of(service))

    def test_heeds_no_sighup_that_it_was_told_to_ignore(self, make_service, monkeypatch):
        said = []
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)

        def announce(text):
            said.append(text)
            os.kill(os.getpid(), signal.SIGHUP)

        service = make_service(WAITS, why_gone=lambda now_s: "over")
        monkeypatch.setattr(serve_run, "_answers", lambda url: "up" in service.log.read_text())
        try:
            code = run_service(service, ports={}, ready=lambda: "ready", announce=announce)
        finally:
            signal.signal(signal.SIGHUP, before)

        assert code == 1

    @pytest.mark.parametrize("end", ["", IGNORES_SIGINT])
    def test_leaves_no_process_behind(self, make_service, monkeypatch, tmp_path, end):
        log = tmp_path / "logs" / "serve.log"
        service = make_service(
            WITH_CHILD.format(end=end),
            failure=lambda: "enough" if "child" in log.read_text() else None,
        )
        monkeypatch.setattr(serve_run, "ENDING_DEADLINE_S", 0.2)
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
                    ready=str,
                    announce=lambda text: None,
                )

        assert not service.log.exists()


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
    def test_is_the_message_of_serve(self, status, message, failure):
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
