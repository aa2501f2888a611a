"""What one window says of every order of candidates: the lists of each user, and what he bought."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, Mask, Rows, Texts
from serve_app.arrays.ragged import Offsets, offsets_of
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.scoring.model_features import DAY_S
from serve_app.fitting.workspace import records
from serve_app.fitting.workspace.workspace import read_json, write_json
from serve_app.measuring.lists import PerUser
from serve_app.measuring.metrics import hit_rate, ndcg_at, recall_at, reciprocal_rank

WIDTH = 20
"""Places of a list."""

CANDIDATES = "candidates"
POPULARITY = "popularity"
FUSED = "fused"
SERVED = "served"

_NAMES = "names.json"
_OF_NAMES = ("names", "calibrated")


@dataclass(frozen=True, slots=True)
class Measured:
    """
    One row per test user: a user who bought something new in the window.

    Attributes:
        names: of the orders: variants, ``<variant>_diverse``, sources, ``fused`` and the like.
        calibrated: names of the orders whose scores are log-odds of being wanted.
        lists: shape (n_names, n, WIDTH), int32, rows of the catalogue, best first, ``MISSING``
            behind the end of a list.
        hits: shape of ``lists``, which places hold what the user bought.
        n_past: shape (n,), int64, purchases before the window.
        relevant: shape (total,), int32, rows that each user bought, ascending within a user.
        offsets: shape (n + 1,), int64, where the relevant rows of each user start.
        n_found: shape (n,), int64, how many of them were among his candidates.
        offered: shape (n, WIDTH, len(SOURCES)), which sources had offered each item of the first
            variant's list.
        calibration: shape (len(calibrated), bins, 3), float64: in each bin of the predicted
            probability, the sum of the predictions, the sum of the labels, and how many there are.
    """

    names: tuple[str, ...]
    calibrated: tuple[str, ...]
    lists: Rows
    hits: Mask
    n_past: NDArray[np.int64]
    relevant: Rows
    offsets: Offsets
    n_found: NDArray[np.int64]
    offered: Mask
    calibration: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.n_past)

    @property
    def n_relevant(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    @property
    def candidate_recall(self) -> NDArray[np.float64]:
        """Share of what each user bought that was among his candidates, shape (n,)."""
        return self.n_found / self.n_relevant

    def lists_of(self, name: str) -> Rows:
        found: Rows = self.lists[self.names.index(name)]
        return found

    def hits_of(self, name: str) -> Mask:
        found: Mask = self.hits[self.names.index(name)]
        return found

    def offers(self, name: str) -> bool:
        """Whether the order was measured and holds any item at all."""
        return name in self.names and bool((self.lists_of(name)[:, 0] != MISSING).any())


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """
    Of every row of the catalogue, at the beginning of the window.

    Attributes:
        age_days: shape (n_rows,), float64, NaN where the age is unknown.
        listed: shape (n_rows,), rows that hold an item.
        titles: shape (n_rows,).
    """

    age_days: NDArray[np.float64]
    listed: Mask
    titles: Texts


def item_facts(catalogue: Catalogue, at: float) -> ItemFacts:
    """Args: at: epoch seconds."""
    age_days = (at - catalogue.number("created_at").astype(np.float64)) / DAY_S
    return ItemFacts(age_days, catalogue.listed, catalogue.titles)


def joined(parts: Sequence[Measured]) -> Measured:
    """Several groups of users as one; all were measured by the same orders."""
    first = parts[0]
    return Measured(
        names=first.names,
        calibrated=first.calibrated,
        lists=np.concatenate([part.lists for part in parts], axis=1),
        hits=np.concatenate([part.hits for part in parts], axis=1),
        n_past=np.concatenate([part.n_past for part in parts]),
        relevant=np.concatenate([part.relevant for part in parts]),
        offsets=offsets_of(np.concatenate([part.n_relevant for part in parts])),
        n_found=np.concatenate([part.n_found for part in parts]),
        offered=np.concatenate([part.offered for part in parts]),
        calibration=np.sum([part.calibration for part in parts], axis=0),
    )


def per_user(measured: Measured, name: str) -> PerUser:
    """Measures of one order, by names as in the manifest; each of shape (n,)."""
    hits, n_relevant = measured.hits_of(name), measured.n_relevant
    return {
        "ndcg_at_10": ndcg_at(hits, n_relevant, 10),
        "recall_at_10": recall_at(hits, n_relevant, 10),
        "recall_at_20": recall_at(hits, n_relevant, 20),
        "hit_rate_at_10": hit_rate(hits, n_relevant, 10),
        "mrr_at_10": reciprocal_rank(hits, n_relevant, 10),
    }


def ndcg_of(measured: Measured, k: int) -> PerUser:
    """NDCG@k of every order by its name, shape (n,) each."""
    n_relevant = measured.n_relevant
    return {name: ndcg_at(measured.hits_of(name), n_relevant, k) for name in measured.names}


def coverage(measured: Measured, name: str, n_items: int) -> float:
    """Share of the items that anybody's list holds; n_items: how many there are."""
    lists = measured.lists_of(name)
    return len(np.unique(lists[lists != MISSING])) / n_items


def means(measured: Measured, n_items: int) -> dict[str, dict[str, float]]:
    """
    Means over the users, for the manifest.

    Returns:
        The measures of ``per_user`` and ``coverage_at_20`` by name of the order; under
        ``CANDIDATES`` the ``recall`` of all candidates and the number of users.
    """
    found = {
        name: {
            **{
                measure: float(values.mean())
                for measure, values in per_user(measured, name).items()
            },
            "coverage_at_20": coverage(measured, name, n_items),
        }
        for name in measured.names
    }
    recall = float(measured.candidate_recall.mean())
    return {**found, CANDIDATES: {"recall": recall, "n_users": float(len(measured))}}


def save(measured: Measured, folder: Path) -> None:
    """Writes one ``.npy`` per array, and the names as JSON, to a new folder."""
    records.save(folder, measured)
    write_json(folder / _NAMES, {name: getattr(measured, name) for name in _OF_NAMES})


def load(folder: Path) -> Measured:
    """What ``save`` wrote, memory-mapped."""
    names = read_json(folder / _NAMES)
    return records.load(Measured, folder, **{name: tuple(names[name]) for name in _OF_NAMES})
