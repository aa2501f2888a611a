"""Packages the configuration files as defaults, and tags the wheel for every Python 3."""

from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

DEFAULTS = ("serve_config.yaml", *map(str, sorted(Path("configs").iterdir())))


class BuildPackage(build_py):
    """Copies the configuration files of the checkout into the package, as its defaults."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for name in DEFAULTS:
            target = Path(self.build_lib, "serve_app/defaults", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(name, str(target))


class BuildLibrary(build_ext):
    """Names the C library without a version of Python: ctypes loads it, not the import system."""

    def get_ext_filename(self, fullname: str) -> str:
        return fullname.replace(".", "/") + ".so"


class BuildWheel(bdist_wheel):
    """Tags the wheel for every Python 3, and for every platform where no C library was built."""

    def run(self) -> None:
        self.run_command("build")
        build_lib = self.get_finalized_command("build").build_lib
        self.root_is_pure = not any(Path(build_lib).rglob("*.so"))
        if self.root_is_pure:
            # Otherwise the files would be laid out as those of a platform.
            self.distribution.ext_modules = []
        super().run()

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", "any" if self.root_is_pure else super().get_tag()[2]


setup(cmdclass={"bdist_wheel": BuildWheel, "build_ext": BuildLibrary, "build_py": BuildPackage})
