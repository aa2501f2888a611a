"""Chooses the reason for each recommended item, and writes it as a sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, Mask, Rows
from serve_app.domain.interactions import TYPES
from serve_app.domain.item_patches import ItemNames


class Subject(Enum):
    """The kind of thing that a reason mentions."""

    NOTHING = 0
    ITEM = 1
    CATEGORY = 2


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an item is recommended.

    Attributes:
        name: identifies the reason in code and metrics.
        text: the sentence without a subject.
        subject: the kind of thing that fills the blank in ``about``.
        about: the sentence with a blank for the subject.
    """

    name: str
    text: str
    subject: Subject = Subject.NOTHING
    about: str = ""


REASONS: tuple[Reason, ...] = (
    Reason("because_bought", "Because of what you bought", Subject.ITEM, "Because you bought {}"),
    Reason("because_viewed", "Because of what you viewed", Subject.ITEM, "Because you viewed {}"),
    Reason("because_rated", "Because of what you rated", Subject.ITEM, "Because you rated {}"),
    Reason("similar_users", "Popular with people like you"),
    Reason("favorite_category", "Popular right now", Subject.CATEGORY, "Popular in {}"),
    Reason("new_items", "New", Subject.CATEGORY, "New in {}"),
    Reason("highly_rated", "Highly rated", Subject.CATEGORY, "Highly rated in {}"),
    Reason("popular", "Popular right now"),
    Reason("this_visit", "Goes with what you are looking at"),
    Reason("untried", "More to discover", Subject.CATEGORY, "More in {}"),
)
"""In the order of their codes, which answers carry from the ranker to the API. Append only:
replicas of two builds exchange codes during a rolling deploy."""

REASON_CODES: Mapping[str, int] = {reason.name: code for code, reason in enumerate(REASONS)}

RECENT_ITEMS = "recent_items"
POPULAR = "popular"

SOURCE_REASONS: Mapping[str, str] = {
    "similar_users": "similar_users",
    "autoencoder": "similar_users",
    "next_items": "this_visit",
    "similar_sessions": "this_visit",
    "favorite_categories": "favorite_category",
    "new_items": "new_items",
    POPULAR: "popular",
}
"""Reason by source. The reason of ``RECENT_ITEMS`` depends on the user's interaction."""

_OF_MANY = np.array([REASON_CODES[name] for name in ("popular", "favorite_category")], np.uint8)
"""Reasons that say of an item that many chose it."""

_OF_INTERACTION = np.array([REASON_CODES[kind.reason] for kind in TYPES], np.uint8)
_SUBJECT_OF = np.array([reason.subject.value for reason in REASONS])


def choose_reasons(
    source_ranks: NDArray[np.float32],
    sources: Sequence[str],
    because: Rows,
    because_type: NDArray[np.uint8],
    categories: NDArray[np.int32],
    highly_rated: Mask,
    untried: Mask,
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Reasons of some candidates, and the subjects of the reasons.

    The source that ranks a candidate best decides; of several, the first in ``sources``. A
    candidate of ``popular`` alone is called highly rated if it is, and popular otherwise. Untried
    candidates, which narrow filters may leave alone, are never called popular.

    Args:
        source_ranks: shape (total, n_sources), NaN where the source did not offer the candidate.
        sources: names of the columns, keys of ``SOURCE_REASONS`` or ``RECENT_ITEMS``.
        because: shape (total,), the item of the user's history that led to the candidate.
            ``RECENT_ITEMS`` does not count if it is ``MISSING``.
        because_type: shape (total,), the interaction with that item, codes of ``TYPES``.
        categories: shape (total,), category codes of the candidates.
        highly_rated: shape (total,).
        untried: shape (total,), candidates without any interaction.

    Returns:
        Codes into ``REASONS``, shape (total,), uint8; and shape (total,), int32: an item row, a
        category code, or ``MISSING``, as the reason's ``subject`` says.
    """
    reasons = np.full(len(because), REASON_CODES["popular"], np.uint8)
    best = np.full(len(because), np.inf, np.float32)
    only_popular = np.ones(len(because), bool)
    for source, ranks in zip(sources, source_ranks.T, strict=True):
        counts = ~np.isnan(ranks) & ((because != MISSING) | (source != RECENT_ITEMS))
        # Strictly better: the first source keeps a tie.
        better = counts & (ranks < best)
        best[better] = ranks[better]
        if source == RECENT_ITEMS:
            reasons[better] = _OF_INTERACTION[because_type[better]]
        else:
            reasons[better] = REASON_CODES[SOURCE_REASONS[source]]
        if source != POPULAR:
            only_popular &= ~counts
    reasons[only_popular & highly_rated] = REASON_CODES["highly_rated"]
    reasons[untried & np.isin(reasons, _OF_MANY)] = REASON_CODES["untried"]
    return reasons, _subjects(reasons, because, categories)


def reason_text(reason: int, subject: int, names: ItemNames) -> str:
    """The reason as a sentence, such as "Because you bought Oak serving board"."""
    chosen = REASONS[reason]
    if subject == MISSING or chosen.subject is Subject.NOTHING:
        return chosen.text
    texts = names.titles if chosen.subject is Subject.ITEM else names.categories
    return chosen.about.format(texts.at(subject))


def _subjects(
    reasons: NDArray[np.uint8], because: Rows, categories: NDArray[np.int32]
) -> NDArray[np.int32]:
    kinds = _SUBJECT_OF[reasons]
    about_category = np.where(kinds == Subject.CATEGORY.value, categories, MISSING)
    return np.where(kinds == Subject.ITEM.value, because, about_category).astype(np.int32)
