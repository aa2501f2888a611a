import pytest

from serve_app.errors import SettingsInvalid
from serve_app.operations.yaml_file import load_yaml


class TestLoadYaml:
    def test_reads_a_mapping(self, tmp_path):
        path = tmp_path / "serve_config.yaml"
        path.write_text("applications:\n  - name: recserve\n")

        assert load_yaml(path) == {"applications": [{"name": "recserve"}]}

    def test_merges_anchors(self, tmp_path):
        path = tmp_path / "serve_config.yaml"
        path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")

        assert load_yaml(path)["b"] == {"x": 3, "y": 2}

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("a: [1", "expected ',' or ']'"),
            ("- 1\n- 2\n", "must be a mapping"),
            ("", "must be a mapping"),
            ("a:\n  b: 1\n  b: 2\n", "key 'b' stands 2 times"),
        ],
    )
    def test_says_why_a_file_is_not_valid(self, tmp_path, text, reason):
        path = tmp_path / "serve_config.yaml"
        path.write_text(text)

        with pytest.raises(SettingsInvalid) as raised:
            load_yaml(path)

        assert reason in raised.value.reason
        assert raised.value.location == str(path)

    def test_says_that_a_file_is_missing(self, tmp_path):
        with pytest.raises(SettingsInvalid, match="no such file"):
            load_yaml(tmp_path / "none.yaml")

    def test_says_that_a_file_cannot_be_read(self, tmp_path):
        with pytest.raises(SettingsInvalid, match="cannot be read"):
            load_yaml(tmp_path)
