"""Defines columns that need more than one array: texts, ids, categories, tags.

All of them are a few flat arrays, so that a bundle can memory-map them and the replicas of a
node share their pages.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int32]
Mask = NDArray[np.bool_]

MISSING = -1
"""Row or code that stands for "there is none"."""

MAX_ID_CHARS = 128
"""Of a user, an item, an event or a session: longer ones are neither loaded nor asked for."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Many strings in one buffer.

    Attributes:
        data: all strings as UTF-8, one after the other, uint8.
        offsets: shape (n + 1,), int64; string i is ``data[offsets[i]:offsets[i + 1]]``.
    """

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, strings: Iterable[str]) -> "Texts":
        encoded = [text.encode() for text in strings]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(text) for text in encoded], out=offsets[1:])
        return cls(np.frombuffer(b"".join(encoded), np.uint8), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[str]:
        data, offsets = self.data.tobytes(), self.offsets.tolist()
        return (data[start:end].decode() for start, end in pairwise(offsets))

    def __getitem__(self, row: int) -> str:
        return self.at(row)

    def at(self, row: int) -> str:
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes().decode()

    def take(self, rows: Iterable[int]) -> list[str]:
        return [self.at(row) for row in rows]


def hash_ids(ids: Iterable[str]) -> NDArray[np.uint64]:
    """64 bits of BLAKE2b per id, shape (n,)."""
    digests = b"".join(blake2b(text.encode(), digest_size=8).digest() for text in ids)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


@dataclass(frozen=True, slots=True)
class IdIndex:
    """Finds the row of an id without a dictionary of all ids in every process.

    Two ids with equal hashes would share a row: at ten million ids that happens to any pair at
    all with a probability of 3e-6.

    Attributes:
        hashes: shape (n,), uint64, ascending.
        rows: shape (n,), int32, the row of each hash.
    """

    hashes: NDArray[np.uint64]
    rows: Rows

    @classmethod
    def of(cls, ids: Iterable[str], rows: Rows | None = None) -> "IdIndex":
        hashes = hash_ids(ids)
        order = np.argsort(hashes, kind="stable")
        if rows is None:
            rows = np.arange(len(hashes), dtype=np.int32)
        return cls(hashes[order], rows[order].astype(np.int32))

    def find(self, ids: Sequence[str]) -> Rows:
        """Rows of the ids, shape (len(ids),), ``MISSING`` where there is none."""
        if not len(self.hashes) or not ids:
            return np.full(len(ids), MISSING, np.int32)
        wanted = hash_ids(ids)
        at = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        return np.where(self.hashes[at] == wanted, self.rows[at], MISSING).astype(np.int32)


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """A number per row; NaN where it is not known. Times are epoch seconds (UTC).

    Attributes:
        values: shape (n,), float64 or float32.
    """

    values: NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class FlagColumn:
    """Yes or no per row.

    Attributes:
        values: shape (n,), int8, 1 for yes, 0 for no, ``MISSING`` where it is not known.
    """

    values: NDArray[np.int8]

    @classmethod
    def of(cls, flags: Iterable[bool | None]) -> "FlagColumn":
        return cls(np.array([MISSING if flag is None else flag for flag in flags], np.int8))

    def is_set(self, row: int) -> bool:
        return bool(self.values[row] == 1)


@dataclass(frozen=True)
class TextColumn:
    """One of a vocabulary per row.

    Attributes:
        codes: shape (n,), int32, ``MISSING`` where there is none.
        vocabulary: the words that the codes number.
    """

    codes: NDArray[np.int32]
    vocabulary: Texts

    @cached_property
    def code_of(self) -> dict[str, int]:
        return {word: code for code, word in enumerate(self.vocabulary.take(range(self.n_words)))}

    @property
    def n_words(self) -> int:
        return len(self.vocabulary)

    @classmethod
    def of(cls, words: Sequence[str | None]) -> "TextColumn":
        vocabulary = sorted({word for word in words if word is not None})
        code_of = {word: code for code, word in enumerate(vocabulary)}
        codes = [MISSING if word is None else code_of[word] for word in words]
        return cls(np.array(codes, np.int32), Texts.of(vocabulary))

    def word(self, row: int) -> str | None:
        code = int(self.codes[row])
        return None if code == MISSING else self.vocabulary.at(code)


@dataclass(frozen=True)
class TagsColumn:
    """Any number of a vocabulary's words per row.

    Attributes:
        codes: shape (total,), int32, distinct within a row.
        offsets: shape (n + 1,), int64; the codes of row i are ``codes[offsets[i]:offsets[i + 1]]``.
        vocabulary: the words that the codes number.
    """

    codes: NDArray[np.int32]
    offsets: NDArray[np.int64]
    vocabulary: Texts

    @cached_property
    def code_of(self) -> dict[str, int]:
        words = self.vocabulary.take(range(len(self.vocabulary)))
        return {word: code for code, word in enumerate(words)}

    @classmethod
    def of(cls, rows: Sequence[Sequence[str]]) -> "TagsColumn":
        distinct = [sorted(set(words)) for words in rows]
        vocabulary = sorted({word for words in distinct for word in words})
        code_of = {word: code for code, word in enumerate(vocabulary)}
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(words) for words in distinct], out=offsets[1:])
        codes = [code_of[word] for words in distinct for word in words]
        return cls(np.array(codes, np.int32), offsets, Texts.of(vocabulary))

    def words(self, row: int) -> list[str]:
        codes = self.codes[self.offsets[row] : self.offsets[row + 1]]
        return self.vocabulary.take(codes.tolist())


Column = NumberColumn | FlagColumn | TextColumn | TagsColumn
