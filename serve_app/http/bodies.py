"""Defines the bodies of requests and answers, for checks and for the documentation."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from serve_app.arrays.columns import MAX_ID_CHARS
from serve_app.arrays.units import UNTIL_AT
from serve_app.bundles.last_fit import LastFit
from serve_app.serving.config import MAX_N

FILTERS = """Conditions by field; an item must meet all of them. A field is any column of the
catalogue, or `item_id`. A condition is a value, a list of allowed values, or operators: `eq`, `in`,
`not_in`, `gt`, `gte`, `lt`, `lte`, and for tags `any`, `all`, `none`. For example,
`{"item_id": {"not_in": ["i000001"]}}` excludes an item. Unknown values match only `not_in` and
`none`."""

FAULTS = "Says why another bundle answers than the current version. Usually empty."

Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)]


def _example(**fields: Any) -> dict[str, Any]:
    return {"examples": [fields]}


class RecommendationsRequest(BaseModel):
    """A request for recommendations."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra=_example(
            user_id="u000001",
            n=10,
            filters={"category": ["cookware", "spices"], "price": {"lte": 20}},
        ),
    )

    user_id: Id = Field(description="Id of the user. For anonymous visitors, send the session id.")
    n: int = Field(
        default=10, ge=1, le=MAX_N, strict=True, description="Number of recommended items."
    )
    filters: dict[str, Any] | None = Field(default=None, description=FILTERS)
    model_name: str | None = Field(
        default=None,
        description="Variant that answers. Default: the variant that the experiment assigns.",
    )
    include_metadata: bool = Field(
        default=False, strict=True, description="Adds title, price, tags and so on to each item."
    )
    at: float | None = Field(
        default=None,
        ge=0,
        # A present time in milliseconds is larger.
        le=UNTIL_AT,
        strict=True,
        allow_inf_nan=False,
        description="Epoch seconds for which the list is made, for simulations and replays: ages of"
        " items and events are those of this moment. Such a list is not cached. Default: now.",
    )


class Recommendation(BaseModel):
    """A recommended item."""

    item_id: str
    score: float = Field(
        description="Comparable within one answer only. Lists need not be in order of the scores:"
        " the order also considers diversity."
    )
    reason: str = Field(description="A sentence that can be shown to the user.")
    metadata: dict[str, Any] | None = Field(
        default=None, description="Present only with `include_metadata`."
    )


class Recommendations(BaseModel):
    """Recommended items, best first. No item occurs twice, and none was bought by the user."""

    model_config = ConfigDict(
        json_schema_extra=_example(
            user_id="u000001",
            request_id="5f0c6a0e4b1d4c6f9a4e7d1b2c3d4e5f",
            recommendations=[
                {"item_id": "i000007", "score": 0.93, "reason": "Because you bought Oak board"}
            ],
            model_used="main",
            model_version="20261101-740eeeee",
            cached=False,
            degraded=[],
        )
    )

    user_id: str
    request_id: str = Field(description="Identifies the request in the logs.")
    recommendations: list[Recommendation] = Field(
        description="Fewer than `n` only if fewer items are allowed."
    )
    model_used: str = Field(
        description="Variant that answered; `popularity` if no model is better than it."
    )
    model_version: str = Field(description="Version of the bundle that answered.")
    cached: bool = Field(description="True if the answer comes from the result cache.")
    degraded: list[str] = Field(
        description="Stages that failed and were replaced. Empty if all worked."
    )


class SimilarItem(BaseModel):
    """An item similar to the given one."""

    item_id: str
    score: float = Field(
        description="Cosine similarity, or 0 for popular items that fill up the list."
    )


class Similar(BaseModel):
    """Similar items, most similar first."""

    model_config = ConfigDict(
        json_schema_extra=_example(
            item_id="i000001",
            similar=[{"item_id": "i000241", "score": 0.42}],
            model_version="20261101-740eeeee",
        )
    )

    item_id: str
    similar: list[SimilarItem]
    model_version: str


class CatalogueAge(BaseModel):
    """How up to date the items are that filters and lists know."""

    revision: int = Field(description="Number of the last change that is known.")
    age_s: float | None = Field(
        description="Seconds since all changes were read; null if they never were."
    )
    items_without_row: int = Field(
        description="New items that wait for the next fit, because no spare row was left."
    )


class Health(BaseModel):
    """The served bundle and its variants."""

    status: str = Field(description="`ok`, or `no bundle` before the first fit.")
    faults: list[str] = Field(description=FAULTS)
    models: dict[str, str | None] = Field(description="Version of the bundle, by variant.")
    weights: dict[str, float] = Field(description="Weight in the experiment, by variant.")
    bundle: str | None = Field(description="Version of the bundle; null before the first fit.")
    silent_stores: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description="Seconds by stage and store, of stores that have not answered a stage for long."
        " Empty if every store answers.",
    )
    catalogue: CatalogueAge | None = Field(
        default=None, description="How up to date the items are; null before the first fit."
    )
    last_fit: LastFit = Field(default=LastFit(), description="How the last fits of the shop ended.")


class Readiness(BaseModel):
    """Readiness of the service."""

    ready: bool
    missing: list[str] = Field(description="Parts that have not answered yet. Empty if ready.")
    faults: list[str] = Field(description=FAULTS)


class Problem(BaseModel):
    """An error: what is wrong, and what is allowed."""

    detail: str | list[dict[str, Any]]
