import pytest

from serve_app.fitting.workspace.step_folders import PACKAGES, compute_code_key


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
