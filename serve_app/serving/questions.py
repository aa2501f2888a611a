"""Defines questions to the service and its answers, independent of HTTP."""

from dataclasses import dataclass
from hashlib import blake2b

from serve_app.domain.filters.masks import Filter, cache_key

ANSWER_PREFIX = "answer:4:"
"""Starts the key of every cached answer; raise the number when the form of answers changes."""

# The number of items stands before a cached answer: shops name attributes freely, hence no pattern
# in the JSON marks items alone.
_COUNT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Question:
    """One checked request for ``n`` recommendations.

    Attributes:
        wanted: the filter; ``None`` for no filter.
        variant: the variant that answers.
    """

    user_id: str
    n: int
    wanted: Filter | None
    variant: str
    include_metadata: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question.

    Attributes:
        recommendations: JSON array of ``n_items``, as it is sent.
        version: of the bundle that answered; empty if there was none.
        degraded: stages that were replaced.
        order: ordered the lists in place of the variant's model; empty for the model.
    """

    recommendations: bytes
    n_items: int
    version: str
    degraded: tuple[str, ...] = ()
    cached: bool = False
    order: str = ""


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
    """Writes the number of items and the recommendations in the form in which they are cached."""
    return answer.n_items.to_bytes(_COUNT_BYTES, "big") + answer.recommendations


def decode_answer(cached: bytes, version: str, order: str = "") -> Answer:
    """Reads a cached answer of a bundle version; ``order`` as in ``Answer``."""
    n_items = int.from_bytes(cached[:_COUNT_BYTES], "big")
    return Answer(cached[_COUNT_BYTES:], n_items, version, cached=True, order=order)
