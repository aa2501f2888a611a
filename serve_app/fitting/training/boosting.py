"""Trains gradient-boosted trees on candidates of the past."""

import math
from collections.abc import Mapping
from typing import Literal, Self

import numpy as np
import xgboost
from numpy.typing import NDArray
from pydantic import Field, field_validator

from serve_app.arrays.ragged import owners
from serve_app.domain.interactions import GRADE_GAINS
from serve_app.domain.settings import Settings
from serve_app.fitting.moments.examples import Examples
from serve_app.recommending.scoring.model_features import (
    CANDIDATE_FEATURES,
    CROSS_FEATURES,
    FEATURES,
    ITEM_FEATURES,
    USER_FEATURES,
)

FEATURE_GROUPS: Mapping[str, tuple[str, ...]] = {
    "user": USER_FEATURES,
    "item": ITEM_FEATURES,
    "candidate": CANDIDATE_FEATURES,
    "cross": CROSS_FEATURES,
}

LIST_LENGTH = 10
"""Best candidates of a user that a ranking objective compares with all candidates of the user."""

FEW_USERS_DEPTH = 2
"""Largest depth of trees where users are few; see ``VariantConfig.few_users``."""

Objective = Literal["binary:logistic", "rank:ndcg", "rank:pairwise"]

BINARY: Objective = "binary:logistic"


class VariantConfig(Settings):
    """Settings of one variant."""

    objectives: tuple[Objective, ...] = Field(
        default=("binary:logistic", "rank:ndcg"),
        min_length=1,
        description="A binary objective learns if a candidate is bought, a ranking objective learns"
        " the order of a user's candidates. Scores of several objectives are averaged.",
    )
    n_models: int = Field(
        default=2,
        ge=1,
        le=10,
        description="Models of each objective, with different seeds. Their scores are averaged.",
    )
    min_ranking_users: int = Field(
        default=1_500,
        ge=0,
        description="With fewer users to learn from, ranking objectives are left out if a binary"
        " one is set: they generalise worse from few lists. From 150 to 300 users on Online Retail"
        " they had 2 to 9 % less NDCG.",
    )
    few_users: int = Field(
        default=200,
        ge=0,
        description="With fewer users to learn from, trees have at most depth 2, their number falls"
        " in proportion, and scores lean on the best single scores that models see: the fewer"
        " users, the more.",
    )
    few_newcomers: int = Field(
        default=1_500,
        ge=0,
        description="With fewer users without a history to learn from, the lists of such users lean"
        " on the popularity of items: the fewer, the more. With 0 they never do.",
    )
    features: tuple[str, ...] = Field(
        default=tuple(FEATURE_GROUPS),
        description="Names of features, or of their groups: user, item, candidate, cross.",
    )
    n_trees: int = Field(
        default=250,
        ge=1,
        le=1_000,
        description="Trees of each model; there is no early stopping. On Online Retail 150 trees of"
        " depth 4 and 300 of depth 3 are about equally good.",
    )
    max_depth: int = Field(
        default=3, ge=1, le=12, description="Largest depth of a tree. Deeper trees need more data."
    )
    learning_rate: float = Field(
        default=0.06,
        gt=0,
        le=1,
        description="Weight of each new tree. A smaller value needs more trees.",
    )
    min_child_weight: float = Field(
        default=20.0,
        ge=0,
        description="Least weight of the examples in a leaf. A larger value makes simpler trees.",
    )
    subsample: float = Field(
        default=0.8, gt=0, le=1, description="Share of the examples that each tree learns from."
    )
    colsample: float = Field(
        default=0.3, gt=0, le=1, description="Share of the features that each tree may use."
    )
    reg_lambda: float = Field(
        default=5.0,
        ge=0,
        description="L2 regularization of the leaves. A larger value makes smaller leaves.",
    )

    @field_validator("objectives")
    @classmethod
    def _distinct(cls, objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
        if len(set(objectives)) < len(objectives):
            raise ValueError("each objective at most once; n_models sets how many models learn it")
        return objectives

    @field_validator("features")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = set(names) - set(FEATURES) - set(FEATURE_GROUPS)
        if unknown:
            raise ValueError(
                f"unknown features {sorted(unknown)}; known are the groups"
                f" {', '.join(FEATURE_GROUPS)} and {', '.join(FEATURES)}"
            )
        return names

    def objectives_for(self, n_users: int) -> tuple[Objective, ...]:
        """The objectives to learn, for the number of users to learn from."""
        if BINARY in self.objectives and n_users < self.min_ranking_users:
            return (BINARY,)
        return self.objectives

    def for_users(self, n_users: int) -> Self:
        """The settings of one model, for the number of users to learn from."""
        if n_users >= self.few_users:
            return self
        depth = min(self.max_depth, FEW_USERS_DEPTH)
        n_trees = max(math.ceil(self.n_trees * n_users / self.few_users), 1)
        return self.model_copy(update={"max_depth": depth, "n_trees": n_trees})

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of features without groups and repeats, in the declared order."""
        expanded = (FEATURE_GROUPS.get(name, (name,)) for name in self.features)
        return tuple(dict.fromkeys(name for names in expanded for name in names))


def train_boosters(
    examples: Examples, config: VariantConfig, objective: Objective, seed: int, n_threads: int
) -> list[bytes]:
    """Trains ``n_models`` models of one objective, which differ in their seeds.

    Equal examples, settings and number of threads give equal models.

    Returns:
        The models in XGBoost's binary form (UBJSON).
    """
    # To bin the numbers takes a quarter of the time of one model; all models share the bins.
    matrix = _matrix(examples, config, objective, n_threads)
    boosters = (
        xgboost.train(
            _parameters(config, objective, seed + number, n_threads),
            matrix,
            num_boost_round=config.n_trees,
            verbose_eval=False,
        )
        for number in range(config.n_models)
    )
    return [bytes(booster.save_raw("ubj")) for booster in boosters]


def parse_booster(raw: bytes) -> xgboost.Booster:
    """The inverse of ``Booster.save_raw``."""
    return xgboost.Booster(model_file=bytearray(raw))


def weigh_users(examples: Examples) -> NDArray[np.float32]:
    """Weights of the examples, shape (len(examples.matrix),), float32.

    The weight is sqrt(mean / n) for a user with n touched candidates: a user counts by the square
    root of n. Lists are judged user by user. Without weights, a user whose first visit has a
    hundred ratings would count as much as fifty users with two.
    """
    lists = owners(examples.offsets)
    n_touched = np.bincount(lists, examples.strengths > 0, minlength=len(examples))
    # Users without touched candidates count as those with one: nothing is divided by zero.
    weights = np.sqrt(max(n_touched.mean(), 1.0) / np.maximum(n_touched, 1.0))
    return np.asarray(weights[lists], np.float32)


def select_columns(matrix: NDArray[np.float32], names: tuple[str, ...]) -> NDArray[np.float32]:
    """The columns of some features; the matrix itself, without a copy, for all of them."""
    if names == FEATURES:
        return matrix
    return matrix[:, [FEATURES.index(name) for name in names]]


_OF_OBJECTIVE: Mapping[Objective, Mapping[str, object]] = {
    BINARY: {},
    # The gains are powers already: XGBoost takes no others than whole numbers as exponents.
    "rank:ndcg": {"lambdarank_num_pair_per_sample": LIST_LENGTH, "ndcg_exp_gain": False},
    "rank:pairwise": {"lambdarank_num_pair_per_sample": LIST_LENGTH},
}
"""Parameters of XGBoost that one objective alone takes."""


def _parameters(
    config: VariantConfig, objective: Objective, seed: int, n_threads: int
) -> dict[str, object]:
    return {
        "objective": objective,
        "tree_method": "hist",
        "max_depth": config.max_depth,
        "learning_rate": config.learning_rate,
        "min_child_weight": config.min_child_weight,
        "subsample": config.subsample,
        "colsample_bytree": config.colsample,
        "reg_lambda": config.reg_lambda,
        "seed": seed,
        "nthread": n_threads,
        **_OF_OBJECTIVE[objective],
    }


def _matrix(
    examples: Examples, config: VariantConfig, objective: Objective, n_threads: int
) -> xgboost.QuantileDMatrix:
    """A ``QuantileDMatrix`` bins the numbers at once and keeps no second copy of them."""
    gains, weights = examples.gains, weigh_users(examples)
    columns = select_columns(examples.matrix, config.feature_names)
    if objective == BINARY:
        # A probability as label: an item that was only clicked is wanted in part.
        return xgboost.QuantileDMatrix(
            columns, gains / GRADE_GAINS.max(), weight=weights, nthread=n_threads
        )
    return xgboost.QuantileDMatrix(
        columns,
        examples.exponential_gains,
        # With groups XGBoost takes one weight per list, not per example.
        group=np.diff(examples.offsets),
        weight=weights[examples.offsets[:-1]],
        nthread=n_threads,
    )
