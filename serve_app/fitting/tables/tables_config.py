"""Defines the settings of the candidate tables."""

from typing import Annotated

from pydantic import Field

from serve_app.domain.settings import Settings
from serve_app.recommending.scoring.model_features import SOURCES

MIN_SESSION_STEPS = 2_000
"""Steps within sessions without which there is no model of sessions."""


class TablesConfig(Settings):
    """Settings of the tables that the sources look up candidates in."""

    max_buyers_per_item: int = Field(
        default=500, ge=1, description="Latest buyers that are kept of an item."
    )
    max_items_per_user: int = Field(
        default=200,
        ge=1,
        description="Latest items that are kept of a user, for baskets and for neighbours.",
    )
    max_neighbours: int = Field(
        default=50, ge=1, description="Most similar items that are kept of an item."
    )
    max_transitions: int = Field(
        default=100, ge=1, description="Items beside an item in sessions that are kept of it."
    )
    transitions_half_life_days: float = Field(
        default=90.0, gt=0, description="Days after which a step of a session counts half."
    )
    transitions_shrinkage: float = Field(
        default=5.0,
        gt=0,
        description="Added to the number of an item's transitions. A larger value trusts rare items"
        " less.",
    )
    step_dim: int = Field(
        default=32, ge=1, le=512, description="Length of the vectors that smooth transitions."
    )
    session_dim: int = Field(
        default=64, ge=1, le=512, description="Length of the vectors of the model of sessions."
    )
    max_session_steps: int = Field(
        default=200_000,
        ge=MIN_SESSION_STEPS,
        description="Latest steps within sessions that the model of sessions learns from. There is"
        f" no model where steps are fewer than {MIN_SESSION_STEPS:,}.",
    )
    max_session_items: int = Field(
        default=10_000,
        ge=1,
        description="Items that the model of sessions knows: those with the most steps.",
    )
    max_pairs: int = Field(
        default=500_000,
        ge=1,
        description="Most frequent pairs of items that are kept with what followed them.",
    )
    max_sessions: int = Field(
        default=200_000, ge=1, description="Latest sessions with at least two items that are kept."
    )
    max_sessions_per_item: int = Field(
        default=200, ge=1, description="Latest sessions that are kept of an item."
    )
    max_session_events: int = Field(
        default=50, ge=1, description="Latest events that are kept of a session."
    )
    max_linear_items: int = Field(
        default=6_000,
        ge=2,
        description="Items with the most users that the linear autoencoder learns. Time grows with"
        " the cube of this number, memory with its square.",
    )
    max_linear_weights: int = Field(
        default=300,
        ge=1,
        description="Largest weights of the linear autoencoder that are kept of an item.",
    )
    regularization: float = Field(
        default=1_000.0,
        gt=0,
        description="Regularization of the linear autoencoder. A larger value trusts rare pairs of"
        " items less. The fit chooses it.",
    )
    content_weight: float = Field(
        default=30.0,
        ge=0,
        description="Users that one word of the items counts for in the linear autoencoder; 0"
        " ignores words. The fit chooses it.",
    )
    votes_half_life_days: float = Field(
        default=7.0,
        gt=0,
        description="Days after which a purchase of a similar user counts half. The fit"
        " chooses it.",
    )
    trend_half_life_days: float = Field(
        default=7.0,
        gt=0,
        description="Days after which an interaction counts half for the trend of an item. The fit"
        " chooses it.",
    )
    trend_exponent: float = Field(
        default=1.0,
        ge=0,
        description="Power of the trend that scales the linear autoencoder; 0 ignores the trend."
        " The fit chooses it.",
    )
    source_weights: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default=(0.3, 1.0, 0.3, 0.3, 0.3, 0.2, 0.2, 0.3),
        min_length=len(SOURCES),
        max_length=len(SOURCES),
        description="Weight of each source's ranks when they are fused, in the order "
        + ", ".join(SOURCES)
        + ". The fit chooses them.",
    )
    factors_dim: int = Field(
        default=64, ge=1, le=512, description="Length of the factors of items and users."
    )
    factors_shrinkage: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of the largest singular value that is subtracted from all of them. A"
        " larger value keeps fewer factors.",
    )
    factors_regularization: float = Field(
        default=0.0,
        ge=0,
        description="Regularization of factors by alternating least squares; with 0 they come in"
        " closed form. Meant for at most some hundred users: time and memory grow with users times"
        " items. The fit chooses it where users are few.",
    )
    content_dim: int = Field(
        default=64, ge=1, le=512, description="Length of the vectors of the items' words."
    )
    shrinkage: float = Field(
        default=0.5,
        ge=0,
        description="Added to the product of the norms in the similarity of two items. A larger"
        " value trusts rare items less.",
    )
    period_days: float = Field(
        default=7.0,
        gt=0,
        description="Days of a period; a user's items are compared with those of all users in the"
        " period.",
    )
    max_periods: int = Field(default=60, ge=1, description="Latest periods that are kept.")
