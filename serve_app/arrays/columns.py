"""Defines columns that need more than one array: texts, ids, categories, tags.

Each column is a few flat arrays. A bundle memory-maps them, and the replicas of a node share the
pages.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.ragged import gather, offsets_of

Rows = NDArray[np.int32]
Mask = NDArray[np.bool_]

MISSING = -1
"""Stands for a row or a code that does not exist."""

MAX_ID_CHARS = 128
"""Longest id of a user, item, event or session. Loading and the API reject longer ones."""


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
        # Bytes, not characters: offsets cut the buffer before anything is decoded.
        offsets = offsets_of([len(text) for text in encoded])
        return cls(np.frombuffer(b"".join(encoded), np.uint8), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[str]:
        # One copy of the buffer: a slice of bytes is much cheaper than a slice of an array.
        data, offsets = self.data.tobytes(), self.offsets.tolist()
        return (data[start:end].decode() for start, end in pairwise(offsets))

    def __getitem__(self, row: int) -> str:
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes().decode()

    at = __getitem__

    def take(self, rows: Iterable[int]) -> list[str]:
        return [self.at(row) for row in rows]

    def select(self, rows: NDArray[np.integer]) -> "Texts":
        positions, offsets = gather(self.offsets, rows)
        return Texts(self.data[positions], offsets)

    def join(self, others: "Texts") -> "Texts":
        """These strings, then others."""
        offsets = np.concatenate((self.offsets, self.offsets[-1] + others.offsets[1:]))
        return Texts(np.concatenate((self.data, others.data)), offsets)


def hash_ids(ids: Iterable[str]) -> NDArray[np.uint64]:
    """64 bits of BLAKE2b per id, shape (n,)."""
    # Not Python's `hash`: it differs between processes, and bundles store the hashes.
    digests = b"".join(blake2b(text.encode(), digest_size=8).digest() for text in ids)
    # The byte order is fixed for the same reason; `astype` makes it that of the machine.
    return np.frombuffer(digests, "<u8").astype(np.uint64)


@dataclass(frozen=True, slots=True)
class IdIndex:
    """Finds the row of an id without a dictionary of all ids in every process.

    Two ids with equal hashes would share a row. Among ten million ids, the probability that any
    pair collides is 3e-6.

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
        return self.rows_of(hash_ids(ids))

    def rows_of(self, wanted: NDArray[np.uint64]) -> Rows:
        """Rows by ``hash_ids``; there is at least one hash in the index."""
        # Hashes above the last one would point behind the end; the comparison rejects them.
        at = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        return np.where(self.hashes[at] == wanted, self.rows[at], MISSING).astype(np.int32)


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """A number per row, NaN if unknown. Times are epoch seconds (UTC).

    Attributes:
        values: shape (n,), float64 or float32.
    """

    values: NDArray[np.floating]

    def select(self, rows: NDArray[np.integer]) -> "NumberColumn":
        return NumberColumn(self.values[rows])

    def join(self, others: "NumberColumn") -> "NumberColumn":
        return NumberColumn(np.concatenate((self.values, others.values)))


@dataclass(frozen=True, slots=True)
class FlagColumn:
    """Yes or no per row.

    Attributes:
        values: shape (n,), int8, 1 for yes, 0 for no, ``MISSING`` if unknown.
    """

    values: NDArray[np.int8]

    @classmethod
    def of(cls, flags: Iterable[bool | None]) -> "FlagColumn":
        return cls(np.array([MISSING if flag is None else flag for flag in flags], np.int8))

    def is_set(self, row: int) -> bool:
        return bool(self.values[row] == 1)

    def select(self, rows: NDArray[np.integer]) -> "FlagColumn":
        return FlagColumn(self.values[rows])

    def join(self, others: "FlagColumn") -> "FlagColumn":
        return FlagColumn(np.concatenate((self.values, others.values)))


@dataclass(frozen=True)
class TextColumn:
    """One word of a vocabulary per row.

    Attributes:
        codes: shape (n,), int32, ``MISSING`` for rows without a word.
        vocabulary: the words in the order of their codes.
    """

    codes: NDArray[np.int32]
    vocabulary: Texts

    @cached_property
    def code_of(self) -> dict[str, int]:
        return {word: code for code, word in enumerate(self.vocabulary)}

    @property
    def n_words(self) -> int:
        return len(self.vocabulary)

    @classmethod
    def of(cls, words: Sequence[str | None]) -> "TextColumn":
        # Sorted: sets have another order in every process, and bundles must be reproducible.
        vocabulary = sorted({word for word in words if word is not None})
        code_of = {word: code for code, word in enumerate(vocabulary)}
        codes = [MISSING if word is None else code_of[word] for word in words]
        return cls(np.array(codes, np.int32), Texts.of(vocabulary))

    def word(self, row: int) -> str | None:
        code = int(self.codes[row])
        return None if code == MISSING else self.vocabulary.at(code)

    def select(self, rows: NDArray[np.integer]) -> "TextColumn":
        return _with_codes(TextColumn(self.codes[rows], self.vocabulary), self.code_of)

    def join(self, others: "TextColumn") -> "TextColumn":
        vocabulary, code_of, codes = join_vocabularies(self, others)
        return _with_codes(TextColumn(np.concatenate((self.codes, codes)), vocabulary), code_of)


@dataclass(frozen=True)
class TagsColumn:
    """Any number of words of a vocabulary per row.

    Attributes:
        codes: shape (total,), int32, distinct within a row.
        offsets: shape (n + 1,), int64; the codes of row i are ``codes[offsets[i]:offsets[i + 1]]``.
        vocabulary: the words in the order of their codes.
    """

    codes: NDArray[np.int32]
    offsets: NDArray[np.int64]
    vocabulary: Texts

    @cached_property
    def code_of(self) -> dict[str, int]:
        return {word: code for code, word in enumerate(self.vocabulary)}

    @classmethod
    def of(cls, rows: Sequence[Sequence[str]]) -> "TagsColumn":
        distinct = [sorted(set(words)) for words in rows]
        vocabulary = sorted({word for words in distinct for word in words})
        code_of = {word: code for code, word in enumerate(vocabulary)}
        offsets = offsets_of([len(words) for words in distinct])
        codes = [code_of[word] for words in distinct for word in words]
        return cls(np.array(codes, np.int32), offsets, Texts.of(vocabulary))

    def words(self, row: int) -> list[str]:
        codes = self.codes[self.offsets[row] : self.offsets[row + 1]]
        return self.vocabulary.take(codes.tolist())

    def select(self, rows: NDArray[np.integer]) -> "TagsColumn":
        positions, offsets = gather(self.offsets, rows)
        selected = TagsColumn(self.codes[positions], offsets, self.vocabulary)
        return _with_codes(selected, self.code_of)

    def join(self, others: "TagsColumn") -> "TagsColumn":
        vocabulary, code_of, codes = join_vocabularies(self, others)
        offsets = np.concatenate((self.offsets, self.offsets[-1] + others.offsets[1:]))
        joined = TagsColumn(np.concatenate((self.codes, codes)), offsets, vocabulary)
        return _with_codes(joined, code_of)


Worded = TypeVar("Worded", TextColumn, TagsColumn)


def _with_codes(column: Worded, code_of: dict[str, int]) -> Worded:
    # As if it were computed already: words of a large vocabulary are slow to decode.
    vars(column)["code_of"] = code_of
    return column


def join_vocabularies(
    column: TextColumn | TagsColumn, others: TextColumn | TagsColumn
) -> tuple[Texts, dict[str, int], NDArray[np.int32]]:
    """Joins the words of two columns.

    Returns:
        The words of the first column and then new ones; their codes; and the codes of the other
        column among them.
    """
    words = list(others.vocabulary)
    new = [word for word in words if word not in column.code_of]
    if not new:
        vocabulary, code_of = column.vocabulary, column.code_of
    else:
        vocabulary = column.vocabulary.join(Texts.of(new))
        n_known = len(column.vocabulary)
        code_of = column.code_of | {word: n_known + i for i, word in enumerate(new)}
    # Code MISSING is -1 and reads the last entry.
    recoded = np.array([*(code_of[word] for word in words), MISSING], np.int32)
    return vocabulary, code_of, recoded[others.codes]


StoredColumn = NumberColumn | FlagColumn | TextColumn | TagsColumn


@dataclass(frozen=True, slots=True)
class PatchedColumn:
    """A column of which some rows have other values.

    Attributes:
        stored: the values of all other rows; ``None`` if they are unknown. Of the patch's class.
        rows: shape (k,), int32, ascending, distinct.
        patch: k values, one for each of ``rows``; its vocabulary is its own.
    """

    stored: StoredColumn | None
    rows: Rows
    patch: StoredColumn


Column = StoredColumn | PatchedColumn


def kind_of(column: Column) -> type:
    """The class of a column without patches that has the same kind of values."""
    return type(column.patch if isinstance(column, PatchedColumn) else column)
