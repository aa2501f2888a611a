"""Bodies of requests and answers, as they are checked and documented."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from serve_app.arrays.columns import MAX_ID_CHARS
from serve_app.serving.config import MAX_N

FILTERS = """Field → value, list of values, or operators: `eq`, `in`, `not_in`, `gt`, `gte`, `lt`,
`lte`; for tags `any`, `all`, `none`. All fields must hold. Any column of the catalogue can be
named; `{"item_id": {"not_in": [...]}}` excludes items."""

Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)]


class RecommendationsRequest(BaseModel):
    """Who asks, and for what."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "user_id": "u000001",
                    "n": 10,
                    "filters": {"category": ["cookware", "spices"], "price": {"lte": 20}},
                }
            ]
        },
    )

    user_id: Id
    n: int = Field(default=10, ge=1, le=MAX_N, strict=True)
    filters: dict[str, Any] | None = Field(default=None, description=FILTERS)
    model_name: str | None = Field(
        default=None, description="A variant by name; absent: the user's own variant."
    )
    include_metadata: bool = Field(default=False, strict=True)


class Recommendation(BaseModel):
    """One item, the best first. ``score`` orders the items of one answer and means no more."""

    item_id: str
    score: float
    reason: str
    metadata: dict[str, Any] | None = Field(
        default=None, description="Only with `include_metadata`."
    )


class Recommendations(BaseModel):
    """min(n, number of allowed items) items, none twice, none that the user bought."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user_id": "u000001",
                    "request_id": "5f0c6a0e4b1d4c6f9a4e7d1b2c3d4e5f",
                    "recommendations": [
                        {
                            "item_id": "i000007",
                            "score": 0.93,
                            "reason": "Because you bought Oak serving board",
                        }
                    ],
                    "model_used": "main",
                    "model_version": "20261101-740eeeee",
                    "cached": False,
                    "degraded": [],
                }
            ]
        }
    )

    user_id: str
    request_id: str
    recommendations: list[Recommendation]
    model_used: str
    model_version: str
    cached: bool
    degraded: list[str] = Field(description="Stages that were replaced; empty when all worked.")


class SimilarItem(BaseModel):
    """``score`` is the cosine, 0 for an item that only shares the category."""

    item_id: str
    score: float


class Similar(BaseModel):
    """Items like a given one."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "item_id": "i000001",
                    "similar": [{"item_id": "i000241", "score": 0.42}],
                    "model_version": "20261101-740eeeee",
                }
            ]
        }
    )

    item_id: str
    similar: list[SimilarItem]
    model_version: str


class Health(BaseModel):
    """What is served."""

    status: str
    models: dict[str, str | None] = Field(description="Version by variant.")
    weights: dict[str, float] = Field(description="Share of the users by variant.")
    bundle: str | None


class Readiness(BaseModel):
    """Whether it can answer."""

    ready: bool
    missing: list[str]


class Problem(BaseModel):
    """What is wrong, and what is allowed."""

    detail: str | list[dict[str, Any]]
