"""Defines questions to the service and its answers, independent of HTTP."""

import struct
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from serve_app.arrays.columns import Rows
from serve_app.domain.filters.masks import Filter, cache_key
from serve_app.live.overlay import Live

ANSWER_PREFIX = "answer:5:"
"""Starts the key of every cached answer; raise the number when the form of answers changes."""

# The items stand before a cached answer: shops name attributes freely, hence no pattern in the JSON
# marks items alone.
_HEAD = struct.Struct(">IQ")
_ROW_BYTES = 4


@dataclass(frozen=True, slots=True)
class Question:
    """One checked request for ``n`` recommendations.

    Attributes:
        wanted: the filter; ``None`` for no filter.
        variant: the variant that answers.
        at: epoch seconds for which the list is made; ``None`` for now. Only lists of now are
            cached.
    """

    user_id: str
    n: int
    wanted: Filter | None
    variant: str
    include_metadata: bool
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question.

    Attributes:
        recommendations: JSON array of ``n_items``, as it is sent.
        version: of the bundle that answered; empty if there was none.
        degraded: stages that were replaced.
        order: ordered the lists in place of the variant's model; empty for the model.
        revision: of the shop that the list was made of.
        rows: of the items in the catalogue, as ``pack_rows`` packs them.
    """

    recommendations: bytes
    n_items: int
    version: str
    degraded: tuple[str, ...] = ()
    cached: bool = False
    order: str = ""
    revision: int = 0
    rows: bytes = b""


def pack_rows(rows: Rows) -> bytes:
    """Rows of the catalogue in 4 bytes each."""
    return rows.astype("<i4").tobytes()


def still_holds(answer: Answer, question: Question, live: Live) -> bool:
    """Tells whether a cached answer is right at a later revision of the shop.

    A changed item may meet a filter that it did not meet before, or fill a list that is too short:
    any change ends an answer to a filtered question, and one with fewer items than asked for.
    """
    if question.wanted is not None or answer.n_items < question.n:
        return live.revision <= answer.revision
    return not live.have_changed(np.frombuffer(answer.rows, "<i4"), answer.revision)


def answer_key(question: Question, version: str, settings: str) -> str:
    """Computes the cache key of an answer, from everything that shapes it.

    Args:
        version: of the bundle.
        settings: of the application, as text.
    """
    # The length before each part keeps ("ab", "c") and ("a", "bc") apart.
    digest = blake2b(digest_size=16)
    for part in (
        version,
        settings,
        question.variant,
        question.user_id,
        str(question.n),
        str(question.include_metadata),
        cache_key(question.wanted),
    ):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return ANSWER_PREFIX + digest.hexdigest()


def encode_answer(answer: Answer) -> bytes:
    """Writes an answer in the form in which it is cached: items, revision, recommendations."""
    head = _HEAD.pack(answer.n_items, answer.revision)
    return head + answer.rows + answer.recommendations


def decode_answer(cached: bytes, version: str, order: str = "") -> Answer:
    """Reads a cached answer of a bundle version; ``order`` as in ``Answer``."""
    n_items, revision = _HEAD.unpack_from(cached)
    end = _HEAD.size + _ROW_BYTES * n_items
    return Answer(
        cached[end:],
        n_items,
        version,
        cached=True,
        order=order,
        revision=revision,
        rows=cached[_HEAD.size : end],
    )
