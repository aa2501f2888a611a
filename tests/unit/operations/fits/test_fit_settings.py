"""The settings of an evaluation come from the files of the application."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from serve_app.cli import evaluation_verbs as verbs
from serve_app.errors import DataRejected, NotEnoughData, SettingsInvalid
from serve_app.evaluation.served import ServedConfig
from serve_app.fitting.data.labels import LabelConfig
from serve_app.operations.fits.fit_settings import ours_config

ROOT = Path(__file__).parents[4]

SERVED = """
applications:
  - name: recserve
    import_path: serve_app.app:build_app
    args:
      variants: [other, main]
      candidates: {max_candidates: 150}
      ranking: {diversity: {max_per_category: 2}}
"""
LEARNT = """
label: {type: click}
variants:
  main: {n_trees: 10}
  other: {n_trees: 20}
"""


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_without_files_the_defaults_are_evaluated():
    assert ours_config(None, None) == ServedConfig()


def test_candidates_and_ranking_are_the_served_ones(tmp_path):
    found = ours_config(written(tmp_path, "serve.yaml", SERVED), None)

    assert found.fit.candidates.max_candidates == 150
    assert found.ranking.diversity.max_per_category == 2


def test_only_the_first_served_variant_is_fitted(tmp_path):
    learnt = written(tmp_path, "fit.yaml", LEARNT)
    found = ours_config(written(tmp_path, "serve.yaml", SERVED), learnt)

    assert {name: each.n_trees for name, each in found.fit.variants.items()} == {"other": 20}
    assert list(ours_config(None, learnt).fit.variants) == ["main"]


def test_the_label_comes_from_the_settings_of_the_fit(tmp_path):
    assert ours_config(None, written(tmp_path, "fit.yaml", LEARNT)).fit.label.type == "click"


def test_the_files_of_the_project_agree():
    found = ours_config(ROOT / "serve_config.yaml", ROOT / "configs/fit.yaml")

    assert list(found.fit.variants) == ["main"]


@pytest.mark.parametrize(
    ("served", "learnt", "message"),
    [
        (SERVED, "variants: {main: {}}", "variants: other served but not described"),
        (SERVED, "candidates: {}", "is set in args.candidates"),
        (SERVED, "label: {type: look}", "label.type: Input should be"),
        (SERVED.replace("variants:", "variant:"), LEARNT, "args.variant: Extra inputs"),
        ("[]", LEARNT, "must be a mapping"),
    ],
)
def test_files_with_faults_or_contradictions_are_refused(tmp_path, served, learnt, message):
    files = written(tmp_path, "serve.yaml", served), written(tmp_path, "fit.yaml", learnt)

    with pytest.raises(SettingsInvalid, match=message):
        ours_config(*files)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsInvalid, match="no such file"):
        ours_config(tmp_path / "none.yaml", None)


@pytest.mark.parametrize(("flags", "repeats"), [([], False), (["--repeats"], True)])
def test_the_command_passes_files_and_flags_to_the_evaluation(
    tmp_path, monkeypatch, flags, repeats
):
    given = []

    def evaluated(files, config, progress, **clocks):
        given.append(config)
        raise NotEnoughData("there are no interactions")

    monkeypatch.setattr(verbs, "evaluate", evaluated)
    settings = written(tmp_path, "fit.yaml", LEARNT)
    arguments = ["--interactions", "shop.csv", "--settings", str(settings), "--days-earlier", "7"]
    result = CliRunner().invoke(verbs.evaluate_command, [*arguments, *flags])

    assert isinstance(result.exception, NotEnoughData)
    [config] = given
    assert config.protocol.label == LabelConfig(type="click", repeats=repeats)
    assert config.protocol.days_earlier == 7
    assert list(config.ours.fit.variants) == ["main"]


def test_a_failed_evaluation_leaves_no_file(tmp_path):
    shop = written(tmp_path, "shop.csv", "user_id,item_id,timestamp\n")
    figures = tmp_path / "figures.json"

    result = CliRunner().invoke(
        verbs.evaluate_command, ["--interactions", str(shop), "--json", str(figures)]
    )

    assert isinstance(result.exception, DataRejected)
    assert not figures.exists()


def test_a_file_that_cannot_be_written_is_reported_before_the_work(tmp_path):
    nowhere = tmp_path / "none" / "figures.json"

    result = CliRunner().invoke(
        verbs.evaluate_command, ["--interactions", "shop.csv", "--json", str(nowhere)]
    )

    assert result.exit_code == 2
    assert f"{nowhere} cannot be written" in result.output.replace("\n", "")


def test_the_number_of_threads_overrides_that_of_the_settings(tmp_path):
    learnt = written(tmp_path, "fit.yaml", f"{LEARNT}n_threads: 3\n")

    assert ours_config(None, learnt, n_threads=2).fit.n_threads == 2
    assert ours_config(None, learnt).fit.n_threads == 3
