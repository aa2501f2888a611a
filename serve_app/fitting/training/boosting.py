"""Fits the scorers: gradient-boosted trees on past candidates."""

import math
from collections.abc import Mapping
from itertools import product
from typing import Literal, NamedTuple, Self

import numpy as np
import xgboost
from numpy.typing import NDArray
from pydantic import Field, field_validator

from serve_app.arrays.ragged import owners
from serve_app.domain.interactions import GRADE_GAINS
from serve_app.domain.scoring.model_features import (
    CANDIDATE_FEATURES,
    CROSS_FEATURES,
    FEATURES,
    ITEM_FEATURES,
    USER_FEATURES,
)
from serve_app.domain.settings import Settings
from serve_app.fitting.moments.examples import Examples

FEATURE_GROUPS: Mapping[str, tuple[str, ...]] = {
    "user": USER_FEATURES,
    "item": ITEM_FEATURES,
    "candidate": CANDIDATE_FEATURES,
    "cross": CROSS_FEATURES,
}

LIST_LENGTH = 10
"""A ranking objective compares this many of a user's best candidates with all of them."""

FEW_USERS_DEPTH = 2

Objective = Literal["binary:logistic", "rank:ndcg", "rank:pairwise"]

BINARY: Objective = "binary:logistic"


class Member(NamedTuple):
    """
    One of the models whose average a variant is.

    Attributes:
        number: of those with this objective, which differ in their seeds.
    """

    objective: Objective
    number: int

    @property
    def is_binary(self) -> bool:
        """Whether it learns if a candidate is wanted, and not the order."""
        return self.objective == BINARY


class VariantConfig(Settings):
    """
    How one variant is fitted.

    Attributes:
        objectives: a binary objective learns whether a candidate is bought, a ranking one the order
            of a user's candidates. What models of several objectives say is averaged.
        n_models: of each objective, with seeds of their own, averaged.
        min_ranking_users: with fewer users to learn from, a ranking objective is left out where a
            binary one is there: it generalises worse from few lists. From 150 to 300 of them it had
            2 to 9 % less NDCG than the binary one on Online Retail.
        few_users: with fewer of them to learn from, trees are at most ``FEW_USERS_DEPTH`` deep, and
            there are in proportion fewer.
        features: names of features, or of groups of them (user, item, candidate, cross).
        n_trees: all are fitted. On Online Retail the quality is about the same for 150 trees of
            depth 4 and 300 of depth 3, and stopping early by held-out users chose worse numbers.
    """

    objectives: tuple[Objective, ...] = Field(
        default=("binary:logistic", "rank:ndcg"), min_length=1
    )
    n_models: int = Field(default=2, ge=1, le=10)
    min_ranking_users: int = Field(default=1_500, ge=0)
    few_users: int = Field(default=200, ge=0)
    features: tuple[str, ...] = tuple(FEATURE_GROUPS)
    n_trees: int = Field(default=250, ge=1, le=1_000)
    max_depth: int = Field(default=3, ge=1, le=12)
    learning_rate: float = Field(default=0.06, gt=0, le=1)
    min_child_weight: float = Field(default=20.0, ge=0)
    subsample: float = Field(default=0.8, gt=0, le=1)
    colsample: float = Field(default=0.4, gt=0, le=1)
    reg_lambda: float = Field(default=5.0, ge=0)

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

    def members(self, n_users: int) -> tuple[Member, ...]:
        """The models whose average it is, where there are so many users to learn from."""
        named = tuple(Member(*each) for each in product(self.objectives, range(self.n_models)))
        binary = tuple(member for member in named if member.is_binary)
        return binary if binary and n_users < self.min_ranking_users else named

    def for_users(self, n_users: int) -> Self:
        """How one of its models is fitted, where there are so many users to learn from."""
        if n_users >= self.few_users:
            return self
        depth = min(self.max_depth, FEW_USERS_DEPTH)
        n_trees = max(math.ceil(self.n_trees * n_users / self.few_users), 1)
        return self.model_copy(update={"max_depth": depth, "n_trees": n_trees})

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names only, each once, in the order in which they were declared."""
        expanded = (FEATURE_GROUPS.get(name, (name,)) for name in self.features)
        return tuple(dict.fromkeys(name for names in expanded for name in names))


def train_booster(
    examples: Examples, config: VariantConfig, member: Member, seed: int, n_threads: int
) -> xgboost.Booster:
    """The same examples, settings and number of threads give the same model."""
    return xgboost.train(
        _parameters(config, member, seed, n_threads),
        _matrix(examples, config, member, n_threads),
        num_boost_round=config.n_trees,
        verbose_eval=False,
    )


def booster_from(raw: bytes) -> xgboost.Booster:
    """The inverse of ``Booster.save_raw``."""
    return xgboost.Booster(model_file=bytearray(raw))


def user_weights(examples: Examples) -> NDArray[np.float32]:
    """
    How much each example counts, shape (len(examples.matrix),): a user by the square root of how
    many of his candidates he touched, relative to the average. Lists are judged user by user, and
    who fills his first visit with a hundred ratings would count as much as fifty who come back.
    """
    lists = owners(examples.offsets)
    n_touched = np.bincount(lists, examples.strengths > 0, minlength=len(examples))
    weights = np.sqrt(max(n_touched.mean(), 1.0) / np.maximum(n_touched, 1.0))
    return np.asarray(weights[lists], np.float32)


def columns_of(matrix: NDArray[np.float32], names: tuple[str, ...]) -> NDArray[np.float32]:
    """The columns of some features out of a matrix of all; the matrix itself for all of them."""
    if names == FEATURES:
        return matrix
    return matrix[:, [FEATURES.index(name) for name in names]]


def _parameters(
    config: VariantConfig, member: Member, seed: int, n_threads: int
) -> dict[str, object]:
    of_lists = {} if member.is_binary else {"lambdarank_num_pair_per_sample": LIST_LENGTH}
    return {
        "objective": member.objective,
        "tree_method": "hist",
        "max_depth": config.max_depth,
        "learning_rate": config.learning_rate,
        "min_child_weight": config.min_child_weight,
        "subsample": config.subsample,
        "colsample_bytree": config.colsample,
        "reg_lambda": config.reg_lambda,
        "seed": seed + member.number,
        "nthread": n_threads,
        **of_lists,
    }


def _matrix(
    examples: Examples, config: VariantConfig, member: Member, n_threads: int
) -> xgboost.QuantileDMatrix:
    """Quantised at once: the numbers themselves are not held twice."""
    gains, weights = GRADE_GAINS[examples.strengths], user_weights(examples)
    columns = columns_of(examples.matrix, config.feature_names)
    if member.is_binary:
        # A probability as label: what was only clicked counts as partly wanted.
        return xgboost.QuantileDMatrix(
            columns, gains / GRADE_GAINS.max(), weight=weights, nthread=n_threads
        )
    return xgboost.QuantileDMatrix(
        columns,
        gains,
        group=np.diff(examples.offsets),
        weight=weights[examples.offsets[:-1]],
        nthread=n_threads,
    )
