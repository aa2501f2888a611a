"""Finds the packaged configuration files, and writes copies of them that users edit."""

import shutil
from pathlib import Path

from serve_app.errors import SettingsInvalid

_PACKAGE = Path(__file__).parents[1]
_PACKAGED = _PACKAGE / "defaults"
# A wheel holds copies in the package. A checkout has the files themselves at its top.
DEFAULTS = _PACKAGED if _PACKAGED.is_dir() else _PACKAGE.parent


def default_files() -> list[Path]:
    """Lists the configuration files, relative to the folder that they are used in."""
    configs = (path for path in (DEFAULTS / "configs").iterdir() if path.is_file())
    return [Path("serve_config.yaml"), *sorted(path.relative_to(DEFAULTS) for path in configs)]


def init_folder(folder: Path, *, force: bool) -> list[Path]:
    """Writes the configuration files into a folder, and returns their paths.

    Raises:
        SettingsInvalid: a file exists and ``force`` is not given. Nothing is written.
    """
    files = {name: folder / name for name in default_files()}
    existing = [str(path) for path in files.values() if path.exists()]
    if existing and not force:
        reason = "already there; --force overwrites existing files"
        raise SettingsInvalid(", ".join(existing), reason)
    for name, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(DEFAULTS / name, path)
    return [*files.values()]
