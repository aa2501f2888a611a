"""Assigns variants to users by a hash of salt, variant and user id.

Needs no store, and is equal in every process.
"""

import math
from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from serve_app.domain.settings import Settings

VariantName = Annotated[str, StringConstraints(min_length=1)]
Weight = Annotated[float, Field(ge=0)]


class Experiment(Settings):
    """An A/B test."""

    salt: str = Field(description="Assigns the users. Another text assigns all users anew.")
    weights: Mapping[VariantName, Weight] = Field(
        description="Weight of each variant. A variant gets users in proportion to its weight."
    )

    @field_validator("weights")
    @classmethod
    def _somebody_gets_something(cls, weights: Mapping[str, float]) -> Mapping[str, float]:
        if not any(weights.values()):
            raise ValueError("at least one variant needs a weight above 0")
        return weights


def hash_fraction(*parts: str) -> float:
    """A number in the open interval (0, 1), uniform over texts.

    The first 52 bits of BLAKE2b, as a number of steps of 2^-52. Half a step is added, so that the
    result is never 0 or 1. Each part is hashed as its length (32 bits, big-endian) and its UTF-8
    bytes: ``("a", "bc")`` and ``("ab", "c")`` differ.
    """
    digest = blake2b(digest_size=8)
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    # 52 bits: with 53, the largest value plus half a step would round to 1.
    return ((int.from_bytes(digest.digest(), "big") >> 12) + 0.5) * 2.0**-52


def assign(experiment: Experiment, user_id: str) -> str:
    """The user's variant. Each variant gets users in proportion to its weight.

    Weighted rendezvous: the variant with the smallest -ln(u) / weight wins, where u is the
    ``hash_fraction`` of user and variant. A raised weight only moves users to its variant, and a
    lowered one only moves users away. Removing a variant moves only the users of that variant.

    Source:
        Schindelhauer, Schomaker, "Weighted Distributed Hash Tables", SPAA 2005 (the logarithmic
        method).
    """

    def distance(variant: str) -> float:
        fraction = hash_fraction("variant", experiment.salt, variant, user_id)
        return -math.log(fraction) / experiment.weights[variant]

    return min((name for name, weight in experiment.weights.items() if weight), key=distance)
