"""Defines questions to the service and its answers, independent of HTTP."""

from dataclasses import dataclass
from hashlib import blake2b

from serve_app.domain.filters.masks import Filter, cache_key

ANSWER_PREFIX = "recserve:answer:2:"
"""Starts the key of every cached answer; raise the number when the form of answers changes."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request, checked.

    Attributes:
        n: recommendations wanted.
        wanted: filter, ``None`` for no filter.
        variant: the model that answers.
        include_metadata: whether each item is described.
    """

    user_id: str
    n: int
    wanted: Filter | None
    variant: str
    include_metadata: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """
    Attributes:
        recommendations: JSON array, as it is sent.
        n_items: its length.
        version: of the bundle that answered; empty when there was none.
        degraded: stages that were replaced.
        cached: whether the answer had been computed before.
    """

    recommendations: bytes
    n_items: int
    version: str
    degraded: tuple[str, ...] = ()
    cached: bool = False


def answer_key(question: Question, version: str, settings: str) -> str:
    """Key of everything that shapes an answer; parts are length-prefixed, so none runs over.

    Args:
        version: of the bundle.
        settings: stands for those of the application.
    """
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
