"""Splits the texts of an item into the words that say which items are alike."""

import re
from collections.abc import Iterable

_WORD = re.compile(r"\w{2,}")


def words_of(title: str, tags: Iterable[str]) -> list[str]:
    """Distinct words of a title, in lower case, and tags as they are; in a fixed order."""
    # Sorted: the order of a set of strings differs from process to process.
    return sorted({*_WORD.findall(title.lower()), *tags})
