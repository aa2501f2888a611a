"""The rows that could not be loaded, written next to the file they come from."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from serve_app.errors import DataRejected


def rejects_file_of(file: Path) -> Path:
    """``shop/items.csv`` → ``shop/items.csv.rejects.csv``."""
    return file.with_name(f"{file.name}.rejects.csv")


class Rejects:
    """Line and reason of each rejected row of a file; a row-less file is not left behind.

    Attributes:
        counts: rejected rows by reason.
    """

    def __init__(self, file: Path) -> None:
        """
        Raises:
            DataRejected: the rejects of an earlier load are there and cannot be removed.
        """
        self.counts: Counter[str] = Counter()
        self._file = file
        self._path = rejects_file_of(file)
        with self._writing():
            self._path.unlink(missing_ok=True)

    def add(self, rejects: Sequence[tuple[int, str]]) -> None:
        """
        Raises:
            DataRejected: there is no writing next to the file.
        """
        if not rejects:
            return
        with self._writing(), self._path.open("a", encoding="utf-8", newline="") as text:
            writer = csv.writer(text)
            if not self.counts:
                writer.writerow(("line", "reason"))
            writer.writerows(rejects)
        self.counts.update(reason for _, reason in rejects)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = f"cannot write {self._path.name} beside it: {error.strerror}"
            raise DataRejected(self._file, reason) from error
