"""What the steps of a fit leave on the disk: a folder for each, whole or not there.

A step's key is made of all that its results depend on: the code, the data, its settings, and the
key of the step before. A folder with the right key is used again, any other is made anew; so a fit
that was killed goes on where it was, and a step can be run again alone with other settings.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import serve_app
from serve_app.bundles.shared_folders import partial_folder

PACKAGES = tuple(
    Path(serve_app.__file__).parent / name
    for name in ("arrays", "measuring", "domain", "bundles", "fitting")
)
"""Packages that the results of a step depend on."""

_DONE = "done.json"


@dataclass(frozen=True, slots=True)
class Done:
    """
    Attributes:
        key: of all that the results depend on.
        seconds: that the step took.
        peak_bytes: most memory that all processes of the fit on this machine had at a time.
    """

    key: str
    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Workspace:
    """Attributes: folder: where the steps' folders lie; one fit at a time works in it."""

    folder: Path

    def of(self, step: str) -> Path:
        return self.folder / step

    def done(self, step: str) -> Done | None:
        """``None`` when the step has no results."""
        try:
            return Done(**json.loads((self.of(step) / _DONE).read_bytes()))
        except FileNotFoundError:
            return None

    @contextmanager
    def writing(self, step: str) -> Iterator[tuple[Path, Callable[[Done], None]]]:
        """
        A folder for the results of a step, and what to call when they are whole.

        Without that call, whatever the reason, the folder is gone and the results of before stay.
        """
        with partial_folder(self.folder) as partial:

            def finish(done: Done) -> None:
                write_json(partial / _DONE, asdict(done))
                shutil.rmtree(self.of(step), ignore_errors=True)
                partial.rename(self.of(step))

            yield partial, finish

    def clear(self) -> None:
        """Forgets the results of all steps."""
        for done in self.folder.glob(f"*/{_DONE}"):
            shutil.rmtree(done.parent)


def key_of(*parts: object) -> str:
    """Identifies values that can be written as JSON; 16 hex digits."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:16]


def code_key(packages: Sequence[Path] = PACKAGES) -> str:
    """Identifies the code of some packages: a build must not go on with what another has left."""
    digest = sha256()
    for folder in packages:
        for file in sorted(folder.rglob("*.py")):
            content = file.read_bytes()
            digest.update(f"{file.relative_to(folder.parent)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def write_json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, indent=1))


def read_json(file: Path) -> Any:
    return json.loads(file.read_bytes())
