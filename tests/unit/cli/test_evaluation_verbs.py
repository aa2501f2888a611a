import pytest
from click.testing import CliRunner

from serve_app.cli import evaluation_verbs as verbs
from serve_app.errors import NotEnoughData

SHOP = ["--interactions", "shop.csv"]


@pytest.fixture
def given(monkeypatch):
    """Collects the settings of evaluations of next items instead of running them."""
    configs = []

    def evaluated(files, config, progress, **clocks):
        configs.append(config)
        raise NotEnoughData("there are no interactions")

    monkeypatch.setattr(verbs, "evaluate_next", evaluated)
    return configs


def start(*flags):
    return CliRunner().invoke(verbs.evaluate_command, [*SHOP, *flags])


class TestNext:
    def test_passes_its_options_to_the_evaluation_of_next_items(self, given):
        flags = ("--test-share", "0.3", "--min-buyers", "2", "--session-gap-minutes", "5")
        result = start("--next", "--at-session-start", *flags, "--k", "3,1")

        assert isinstance(result.exception, NotEnoughData)
        [config] = given
        assert (config.protocol.test_share, config.protocol.min_buyers) == (0.3, 2)
        assert config.protocol.session_gap_minutes == 5
        assert config.protocol.at_session_start
        assert config.ks == (1, 3)

    @pytest.mark.parametrize(("flags", "repeats"), [((), True), (("--new",), False)])
    def test_counts_repeats_unless_only_new_items_are_asked_for(self, given, flags, repeats):
        start("--next", *flags)

        [config] = given
        assert config.protocol.label.repeats is repeats

    @pytest.mark.parametrize(
        ("flags", "reason"),
        [
            (("--new",), "--new goes with --next"),
            (("--at-session-start",), "--at-session-start goes with --next"),
            (("--session-gap-minutes", "5"), "--session-gap-minutes goes with --next"),
            (("--next", "--repeats"), "--repeats does not go with --next"),
            (("--next", "--session-gap-minutes", "0"), "x>0"),
        ],
    )
    def test_refuses_options_that_do_not_go_together(self, given, flags, reason):
        result = start(*flags)

        assert result.exit_code == 2
        assert reason in result.output.replace("\n", " ")
        assert given == []
