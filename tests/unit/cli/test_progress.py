import io

import pytest

from serve_app.cli.progress import show_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """Advances by four seconds each time that it is read."""

    def __init__(self):
        self.now_s = 0

    def __call__(self):
        self.now_s += 4
        return self.now_s


def test_a_log_gets_a_line_for_every_quarter_of_a_step():
    log = io.StringIO()

    with show_progress(log, Clock()) as show:
        for percent in range(101):
            show("train", percent / 100)
        show("publish", 0.0)
        show("publish", 1.0)

    assert log.getvalue() == (
        "train: 0% (0 s)\ntrain: 25% (4 s)\ntrain: 50% (8 s)\ntrain: 75% (12 s)\n"
        "publish: 0% (0 s)\n"
    )


def test_a_log_gets_no_line_twice_when_a_share_is_repeated_or_falls():
    log = io.StringIO()

    with show_progress(log, Clock()) as show:
        for share in (0.0, 0.5, 0.5, 0.1, 1.0):
            show("load", share)

    assert [line.split()[1] for line in log.getvalue().splitlines()] == ["0%", "50%"]


def test_a_log_is_flushed_at_every_line():
    class Buffered(io.StringIO):
        seen = ""

        def flush(self):
            self.seen = self.getvalue()

    log = Buffered()

    with show_progress(log) as show:
        show("load", 0.0)

        assert log.seen == "load: 0% (0 s)\n"


def test_a_terminal_gets_a_bar_for_each_step():
    terminal = Terminal()

    with show_progress(terminal) as show:
        show("load", 0.0)
        show("load", 1.0)
        show("fit", 0.5)

    drawn = terminal.getvalue().replace("\r", "\n").splitlines()
    assert any(line.startswith("load") and "100%|" in line for line in drawn)
    assert any(line.startswith("fit") and " 50%|" in line for line in drawn)
    assert "\r" in terminal.getvalue()


def test_a_bar_is_closed_when_a_step_fails():
    terminal = Terminal()

    def work():
        with show_progress(terminal) as show:
            show("load", 0.5)
            raise ValueError("bad row")

    with pytest.raises(ValueError, match="bad row"):
        work()

    assert terminal.getvalue().endswith("\n")


def test_progress_is_written_to_standard_error(capsys):
    with show_progress() as show:
        show("load", 0.0)

    assert capsys.readouterr() == ("", "load: 0% (0 s)\n")
