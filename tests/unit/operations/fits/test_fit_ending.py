import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from serve_app.bundles.publishing import publish
from serve_app.cli import data_verbs
from serve_app.operations.fits.fit_ending import describe_ending
from tests.support.small_bundles import contents_of

LACK = "only 3 % of the 120 users of the latest window had a click before"


@pytest.fixture
def published(tmp_path):
    """Publishes a version whose report has this lack."""

    def publish_one(order="model", *, promoted=True, promote=True, **lack):
        folder = tmp_path / "made"
        folder.mkdir(exist_ok=True)
        verdict = {"promoted": promoted, "reason": "for a reason", **lack}
        (folder / "report.json").write_text(json.dumps({"verdict": verdict}))
        root, contents = str(tmp_path / "bundles"), replace(contents_of(1), order=order)
        return root, publish(root, contents, created_at=1.0, promote=promote, report=folder)

    return publish_one


def test_says_that_lists_are_ordered_by_popularity_and_why(published):
    assert describe_ending(*published("popularity", lack=LACK)) == (
        f"Nothing was better than popularity, so lists are ordered by popularity: {LACK}."
    )


def test_says_that_the_version_is_not_served(published):
    root, manifest = published(promoted=False, promote=False, lack=LACK)

    assert describe_ending(root, manifest) == (
        f"Nothing was better than popularity, so {manifest.version} is not served: {LACK}."
    )


def test_says_that_an_operator_serves_the_models_nevertheless(published):
    assert describe_ending(*published(promoted=False, lack=LACK)) == (
        f"Nothing was better than popularity, but an operator serves the models: {LACK}."
    )


def test_says_nothing_about_a_better_model_or_the_report_of_an_earlier_build(published):
    assert describe_ending(*published(lack="")) is None
    assert describe_ending(*published()) is None


def test_is_the_last_line_of_the_command(published, monkeypatch, tmp_path):
    root, manifest = published("popularity", lack=LACK)
    workplace = SimpleNamespace(
        bundles=SimpleNamespace(root=root), config=SimpleNamespace(variants=("main",))
    )
    monkeypatch.setattr(data_verbs, "workplace_of", lambda config: workplace)
    monkeypatch.setattr(data_verbs, "fit_bundle", lambda *_, **__: manifest)
    file = tmp_path / "any.yaml"
    file.touch()

    said = CliRunner().invoke(
        data_verbs.fit_command, ["--config", str(file), "--settings", str(file)]
    )

    assert said.exit_code == 0, said.output
    assert said.output.splitlines()[-1] == (
        f"Nothing was better than popularity, so lists are ordered by popularity: {LACK}."
    )
