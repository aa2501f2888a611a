"""Says what the data of a window lack when no model was better than popularity."""

from typing import NamedTuple

import numpy as np

from serve_app.fitting.judging.window_results import WindowResults

ENOUGH_USERS, ENOUGH_KNOWN, ENOUGH_FOUND = 200, 0.5, 0.3
"""Users, share of them with a past, and share of wanted items among the candidates, below which a
window lacks them. They only choose the sentence; the gate decides without them."""


class WindowFacts(NamedTuple):
    """Facts of a window that models were measured on.

    Attributes:
        n_users: who did something new that counts.
        known: share of them with a counted interaction before their moment.
        found: mean share of the items that each wanted among their candidates.
    """

    n_users: int
    known: float
    found: float


def facts_of(results: WindowResults) -> WindowFacts:
    return WindowFacts(
        len(results), float(np.mean(results.n_past > 0)), float(results.candidate_recall.mean())
    )


def describe_lack(facts: WindowFacts, counted: str) -> str:
    """What the window lacks most, as half a sentence.

    Args:
        counted: the interaction that the label counts, in words.
    """
    n_users, known, found = f"{facts.n_users:,}", _percent(facts.known), _percent(facts.found)
    lacks = {
        f"only {known} of the {n_users} users of the latest window had a {counted} before": (
            facts.known / ENOUGH_KNOWN
        ),
        f"only {n_users} users did something new that counts in the latest window": (
            facts.n_users / ENOUGH_USERS
        ),
        f"only {found} of the items that users of the latest window wanted were among their"
        " candidates": facts.found / ENOUGH_FOUND,
    }
    worst = min(lacks, key=lambda lack: lacks[lack])
    if lacks[worst] < 1:
        return worst
    return (
        f"nothing stands out in the latest window, where {known} of {n_users} users had a"
        f" {counted} before and {found} of the wanted items were candidates"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
