"""Describes the rewards of a simulation as text and as JSON."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from serve_app.measuring.bootstrap import Interval
from serve_app.simulation import choice_model
from serve_app.simulation.crowd import GROUPS
from serve_app.simulation.rewards import Rewards
from serve_app.simulation.simulated_days import SimulationConfig

_MEANING = {
    "popular": "the most bought items",
    "nightly": "the service, which hears of events at the end of the day",
    "live": "the service, which hears of events at once",
}


def as_text(rewards: Rewards) -> str:
    """A table of purchases per 100 visits by day, and the ratios with 95 % intervals."""
    return "\n".join(_lines(rewards))


def as_json(rewards: Rewards, config: SimulationConfig) -> str:
    """All counts, with the settings and the constants of the choice model."""
    content: dict[str, Any] = {
        "groups": GROUPS,
        "settings": asdict(config),
        "choice_model": {
            name: getattr(choice_model, name)
            for name in ("PATIENCE", "BY_THE_WAY", "GOES_ON", "MOST_LISTS")
        },
        "visits": rewards.n_visits.tolist(),
        "lists": rewards.n_lists.tolist(),
        "clicks": rewards.n_clicks.tolist(),
        "purchases": rewards.n_bought.tolist(),
        "purchases_per_visit": dict(zip(GROUPS, rewards.per_visit.tolist(), strict=True)),
        "live_over": {
            f"{name}, {kind}": ratio._asdict() for (name, kind), ratio in rewards.ratios.items()
        },
        "visits_per_s": rewards.visits_per_s,
    }
    return json.dumps(content, indent=1)


def _lines(rewards: Rewards) -> Iterator[str]:
    yield "purchases per 100 visits"
    yield "day    " + "".join(f"{name:>9}" for name in GROUPS)
    for day, (bought, visits) in enumerate(zip(rewards.n_bought, rewards.n_visits, strict=True)):
        cells = (f"{100 * b / max(v, 1):9.1f}" for b, v in zip(bought, visits, strict=True))
        yield f"{day + 1:<7}" + "".join(cells)
    yield "all    " + "".join(f"{100 * value:9.1f}" for value in rewards.per_visit)
    yield ""
    for name in GROUPS:
        yield f"{name}: lists of {_MEANING[name]}"
    for (name, kind), ratio in rewards.ratios.items():
        yield f"live / {name}, {kind}: {_ratio(ratio)}"
    yield f"{rewards.visits_per_s:.0f} visits per second"


def _ratio(ratio: Interval) -> str:
    return f"{ratio.mean:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
