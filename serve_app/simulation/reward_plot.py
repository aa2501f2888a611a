"""Draws the rewards of a simulation by day."""

from io import BytesIO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from serve_app.simulation.crowd import GROUPS
from serve_app.simulation.rewards import Rewards

_COLOURS = ("#8d96a0", "#e67e22", "#2e86de")


def draw_rewards(rewards: Rewards) -> bytes:
    """A PNG of purchases per 100 visits by day and group."""
    figure = Figure(figsize=(6.0, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    days = np.arange(1, len(rewards.n_visits) + 1)
    per_visit = 100 * rewards.n_bought / np.maximum(rewards.n_visits, 1)
    for group, (name, colour) in enumerate(zip(GROUPS, _COLOURS, strict=True)):
        axes.plot(days, per_visit[:, group], color=colour, marker="o", label=name)
    axes.set_ylim(bottom=0)
    axes.set_xticks(days)
    axes.set_xlabel("simulated day")
    axes.set_ylabel("purchases per 100 visits")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper left", ncols=len(GROUPS), frameon=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=160, metadata={"Software": None})
    return buffer.getvalue()
