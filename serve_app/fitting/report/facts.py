"""Defines everything that a report is computed from."""

from collections.abc import Mapping
from dataclasses import dataclass

from serve_app.bundles.manifest import Manifest
from serve_app.fitting.data.windows import FitWindows
from serve_app.fitting.judging.gate import GateVerdict
from serve_app.fitting.judging.leaks import Leak
from serve_app.fitting.judging.untried_items import UntriedItems
from serve_app.fitting.judging.window_results import ItemFacts, WindowResults


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts that a report is computed from.

    Attributes:
        results: the window that no measured model had learnt from, with all variants of the fit.
        items: at the beginning of that window.
        verdict: on the first variant.
        leaks: one for each source.
        untried: items without any interaction, in the lists of the new bundle.
        first_at: time of the first interaction, epoch seconds.
        counted: the interaction that the label counts, in words.
        tuned: settings that the data chose, by name.
        gains: by variant, how much each feature reduced the loss.
        previous: manifest of the bundle that is served now, ``None`` without one.
        n_resamples: resamples of the users, for the intervals; ``seed`` is theirs.
    """

    results: WindowResults
    items: ItemFacts
    verdict: GateVerdict
    leaks: tuple[Leak, ...]
    untried: UntriedItems
    first_at: float
    split: FitWindows
    counted: str
    n_users: int
    n_items: int
    n_interactions: int
    tuned: Mapping[str, float]
    gains: Mapping[str, Mapping[str, float]]
    previous: Manifest | None
    n_resamples: int
    seed: int

    @property
    def main(self) -> str:
        return self.verdict.main
