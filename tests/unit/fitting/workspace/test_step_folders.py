import os

import pytest

from serve_app.fitting.workspace.step_folders import PACKAGES, Done, Workspace, compute_code_key


class TestCodeKey:
    @pytest.fixture
    def package(self, tmp_path):
        folder = tmp_path / "package"
        (folder / "inner").mkdir(parents=True)
        (folder / "a.py").write_text("A = 1\n")
        (folder / "inner" / "b.py").write_text("B = 2\n")
        return folder

    @pytest.mark.parametrize(
        ("file", "content"),
        [("a.py", "A = 2\n"), ("inner/b.py", "B = 2"), ("new.py", "")],
        ids=["changed", "inner", "added"],
    )
    def test_another_build_has_another_key(self, package, file, content):
        before = compute_code_key([package])

        (package / file).write_text(content)

        assert compute_code_key([package]) != before

    def test_where_the_code_lies_and_what_else_lies_there_does_not_count(self, package, tmp_path):
        before = compute_code_key([package])
        (package / "a.pyc").write_bytes(b"\0")
        (tmp_path / "elsewhere").mkdir()

        assert compute_code_key([package.rename(tmp_path / "elsewhere" / "package")]) == before

    def test_it_is_of_the_packages_that_learn(self):
        assert all((folder / "__init__.py").is_file() for folder in PACKAGES)
        assert compute_code_key() == compute_code_key(PACKAGES)


def test_only_the_owner_may_read_the_results_of_a_step(tmp_path):
    work = Workspace(tmp_path)
    before = os.umask(0o022)
    try:
        with work.writing("load") as (folder, finish):
            (folder / "arrays").mkdir()
            (folder / "arrays" / "users.npy").write_bytes(b"ids")
            finish(Done("key", 0.0, 0))
    finally:
        os.umask(before)

    results = [work.folder_of("load"), *work.folder_of("load").rglob("*")]
    assert len(results) == 4
    assert not [path for path in results if path.stat().st_mode & 0o077]
