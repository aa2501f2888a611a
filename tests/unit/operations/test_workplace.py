"""Opening a configuration: every fault of it is a sentence that names its position."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from serve_app.errors import SettingsInvalid
from serve_app.operations.workplace import open_workplace, problems_of
from serve_app.operations.yaml_file import load_yaml

PROJECT = Path(__file__).parents[3]
SERVED = load_yaml(PROJECT / "serve_config.yaml")

ALONE = {"applications": [{"name": "recserve"}]}


@pytest.fixture
def opened(tmp_path):
    """Writes a configuration, given as text or as values, and opens it."""

    def open_(content):
        path = tmp_path / "serve_config.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return open_workplace(path, {}, tmp_path)

    return open_


def with_application(**changes):
    config = deepcopy(SERVED)
    config["applications"][0].update(changes)
    return config


class TestOpening:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("applications: []", "has no application named recserve"),
            ("applications:", "has no application named recserve"),
            ("applications: [{name: shop}]", "has no application named recserve"),
            ("applications: [recserve]", "has no application named recserve"),
            ("applications: 3", "applications: must be a list of mappings"),
            ("applications: {name: recserve}", "applications: must be a list of mappings"),
            (
                "applications: [{name: recserve, args: {coalescing: {max_batch: 0}}}]",
                "args.coalescing.max_batch: Input should be greater than or equal to 1",
            ),
            ("applications: [{name: recserve, args: [main]}]", "args: must be a mapping"),
            ("{", "while parsing a flow node"),
            ("[]", "must be a mapping"),
        ],
    )
    def test_says_what_is_wrong_with_a_configuration(self, opened, text, said):
        with pytest.raises(SettingsInvalid, match=said):
            opened(text)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"port": "eighty"}, "http_options.port: Input should be a valid integer"),
            ({"port": None}, "http_options.port: Input should be a valid integer"),
            ({"port": 0}, "http_options.port: Input should be greater than or equal to 1"),
            ({"port": 99_999}, "http_options.port: Input should be less than or equal to 65535"),
            ({"host": 127}, "http_options.host: Input should be a valid string"),
            (8_000, "http_options: must be a mapping of keys to values"),
        ],
    )
    def test_names_a_wrong_address(self, opened, options, said):
        with pytest.raises(SettingsInvalid, match=said):
            opened({**ALONE, "http_options": options})

    @pytest.mark.parametrize(
        ("options", "port"), [({}, 8000), (None, 8000), ({"port": 81, "root_path": "/x"}, 81)]
    )
    def test_serves_on_the_port_of_the_configuration(self, opened, options, port):
        assert opened({**ALONE, "http_options": options}).http.port == port

    def test_serves_on_the_port_of_ray_by_default(self, opened):
        assert opened(ALONE).http.port == 8000

    @pytest.mark.parametrize(
        ("host", "url"),
        [
            ("127.0.0.1", "http://127.0.0.1:81"),
            ("10.0.0.7", "http://10.0.0.7:81"),
            ("shop.internal", "http://shop.internal:81"),
            ("fe80::7", "http://[fe80::7]:81"),
            ("0.0.0.0", "http://127.0.0.1:81"),
            ("", "http://127.0.0.1:81"),
            ("::", "http://[::1]:81"),
        ],
    )
    def test_the_url_has_the_host_of_the_configuration(self, opened, host, url):
        assert opened({**ALONE, "http_options": {"host": host, "port": 81}}).http.url == url


class TestProblems:
    def test_the_served_configuration_has_none(self, opened):
        assert problems_of(opened(SERVED)) == []

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("max_replicas: 4", "max_replica: 4", "max_replica: unknown key"),
            ("name: Ranker", "name: Rankr", "no such deployment; did you mean Ranker?"),
            ("weights: {main: 0.5,", "weights: {min: 0.5,", "experiment.weights names min"),
            ("weights: {main: 0.5, challenger: 0.5}", "weights: {main: 0}", "weight above 0"),
        ],
    )
    def test_finds_what_is_wrong_with_a_configuration(self, opened, old, new, said):
        text = (PROJECT / "serve_config.yaml").read_text()
        assert old in text

        problems = problems_of(opened(text.replace(old, new, 1)))

        assert said in problems[0]
        # A misspelt deployment is also a missing one.
        assert len(problems) == (2 if "Ranker" in old else 1)

    @pytest.mark.parametrize(
        ("deployments", "said"),
        [
            (None, "deployments: Input should be a valid list"),
            (3, "deployments: Input should be a valid list"),
            (["Ingress"], "deployments[0]: must be a mapping of keys to values"),
            ([None], "deployments[0]: must be a mapping of keys to values"),
        ],
    )
    def test_names_a_wrong_form_of_the_deployments(self, opened, deployments, said):
        [problem] = problems_of(opened(with_application(deployments=deployments)))

        assert problem.startswith(f"applications[0].{said}")
