from pathlib import Path

import pytest

from serve_app.errors import SettingsInvalid
from serve_app.operations.init_folder import DEFAULTS, default_files, init_folder

FILES = {"serve_config.yaml", "configs/fit.yaml", "configs/fast.env", "configs/one_process.yaml"}


def test_writes_every_configuration_file_as_it_is(tmp_path):
    written = init_folder(tmp_path / "new", force=False)

    assert {str(path) for path in default_files()} >= FILES
    assert written == [tmp_path / "new" / name for name in default_files()]
    for name in default_files():
        assert (tmp_path / "new" / name).read_bytes() == (DEFAULTS / name).read_bytes()


def test_overwrites_nothing_and_names_the_files_that_exist(tmp_path):
    edited = tmp_path / "configs/fit.yaml"
    edited.parent.mkdir()
    edited.write_text("mine")

    with pytest.raises(SettingsInvalid, match=r"configs/fit\.yaml: already there; --force"):
        init_folder(tmp_path, force=False)

    assert edited.read_text() == "mine"
    assert not (tmp_path / "serve_config.yaml").exists()


def test_overwrites_on_demand(tmp_path):
    edited = tmp_path / "serve_config.yaml"
    edited.write_text("mine")

    init_folder(tmp_path, force=True)

    assert edited.read_bytes() == (DEFAULTS / Path("serve_config.yaml")).read_bytes()
