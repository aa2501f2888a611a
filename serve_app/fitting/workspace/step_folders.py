"""Keeps the results of each step in a folder of its own, complete or not at all.

The key of a step covers everything that its results depend on: the code, the data, its settings,
and the key of the step before. A folder with the right key is used again; any other is written
anew. A killed fit resumes at the step that was running, and one step can run alone with other
settings.
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
from serve_app.bundles.shared_folders import make_private, partial_folder

PACKAGES = tuple(
    Path(serve_app.__file__).parent / name
    for name in (
        *("arrays", "measuring", "domain", "recommending"),
        *("bundles", "database", "fitting"),
    )
)
"""Folders whose code the results of a step depend on; ``database`` reads the data."""

_DONE = "done.json"


@dataclass(frozen=True, slots=True)
class Done:
    """The mark of a step that is done.

    Attributes:
        key: of everything that the results depend on.
        seconds: duration of the step.
        peak_bytes: largest memory of all processes of the fit on this machine together.
    """

    key: str
    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Workspace:
    """Results of steps, each in a folder below ``folder``, which one fit at a time uses."""

    folder: Path

    def folder_of(self, step: str) -> Path:
        return self.folder / step

    def done(self, step: str) -> Done | None:
        """``None`` when the step has no results."""
        try:
            return Done(**json.loads((self.folder_of(step) / _DONE).read_bytes()))
        except FileNotFoundError:
            return None

    @contextmanager
    def writing(self, step: str) -> Iterator[tuple[Path, Callable[[Done], None]]]:
        """Yields an empty folder for the results of a step, and a function that completes them.

        Without a call of the function the folder is deleted and the earlier results stay.
        """
        with partial_folder(self.folder) as partial:

            def finish(done: Done) -> None:
                # The key is the last file, and the rename comes last of all. A process that is
                # killed in between leaves no folder that looks complete.
                write_json(partial / _DONE, asdict(done))
                make_private(partial)
                shutil.rmtree(self.folder_of(step), ignore_errors=True)
                partial.rename(self.folder_of(step))

            yield partial, finish

    def clear(self) -> None:
        """Deletes the results of all steps."""
        # Only folders of steps: the lock and files of trainings may lie beside them.
        for done in self.folder.glob(f"*/{_DONE}"):
            shutil.rmtree(done.parent)


def compute_key(*parts: object) -> str:
    """Identifies values that JSON can hold; 16 hex digits."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:16]


def compute_code_key(packages: Sequence[Path] = PACKAGES) -> str:
    """Identifies the code of some packages; 16 hex digits.

    A changed module changes the key, and a fit then uses no results of the build before.
    """
    digest = sha256()
    for folder in packages:
        for file in sorted(folder.rglob("*.py")):
            content = file.read_bytes()
            # The length separates the files: moved lines between two files give another digest.
            digest.update(f"{file.relative_to(folder.parent)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def write_json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, indent=1))


def read_json(file: Path) -> Any:
    return json.loads(file.read_bytes())
