"""Defines the bodies of the routes that describe items and delete users."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from serve_app.arrays.columns import MAX_ID_CHARS
from serve_app.domain.shop_requests import ItemEntry
from serve_app.http.entry_lists import EntryKind, Number

Attribute = Annotated[bool, Field(strict=True)] | Number | str | list[str] | None

_EXAMPLE: dict[str, Any] = {
    "item_id": "i000007",
    "title": "Oak board",
    "category": "cookware",
    "price": 24.5,
    "tags": ["rustic"],
    "in_stock": True,
    "created_at": "2026-11-28",
    "attributes": {"brand": "Ash", "weight_kg": 1.2},
}


class ItemFields(BaseModel):
    """Fields of an item. One that is missing stays as it is; null stands for its default."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"price": 19.5, "in_stock": False}]},
    )

    title: str | None = Field(default=None, description="Default: the item id is shown.")
    category: str | None = Field(default=None, description="Default: `unknown`.")
    price: Number | None = Field(default=None, description="From 0; null where unknown.")
    tags: list[str] | None = Field(default=None, description="Default: none.")
    in_stock: Annotated[bool, Field(strict=True)] | None = Field(
        default=None, description="Default: true. Other items are in no list."
    )
    created_at: str | Number | None = Field(
        default=None, description="ISO 8601 or epoch seconds; new items have a source of their own."
    )
    attributes: dict[str, Attribute] = Field(
        default={},
        description="Your own fields: numbers, flags, texts, or lists of texts. Each name has one"
        " kind in all items. One that is missing stays, and null deletes it.",
    )

    def entry(self, item_id: str) -> ItemEntry:
        """The fields that were sent."""
        sent = {name: getattr(self, name) for name in self.model_fields_set - {"attributes"}}
        return ItemEntry({**sent, "item_id": item_id}, self.attributes)


class Item(ItemFields):
    """An item with its id."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [_EXAMPLE]}
    )

    item_id: str = Field(min_length=1, max_length=MAX_ID_CHARS)


_ALLOWED = {
    "title": "text, or null",
    "category": "text, or null",
    "price": "a number, or null",
    "tags": "a list of texts, or null",
    "in_stock": "true, false, or null",
    "created_at": "text in ISO 8601, a number of epoch seconds, or null",
    "attributes": "an object of numbers, flags, texts and lists of texts",
}

ITEMS, PATCHES = EntryKind(Item, "items", _ALLOWED), EntryKind(ItemFields, "fields", _ALLOWED)

_VISIBLE = Field(
    description="`within 2 s`: filters, lists and metadata have the change then. `within N s` if"
    " caches that do not answer may hide it in metadata for so long."
)


class ItemsStored(BaseModel):
    """The items are committed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"added": 1, "changed": 0, "unchanged": 0, "visible": "within 2 s"}]
        }
    )

    added: int
    changed: int
    unchanged: int
    visible: str = _VISIBLE


class ItemWithdrawn(BaseModel):
    """The item is in no list any more."""

    visible: str = _VISIBLE


class UserDeleted(BaseModel):
    """The user is deleted."""

    events: int = Field(description="Events that were deleted.")
    visible: str = Field(description="As for items. Archives of earlier fits do not answer then.")


class StoredItem(BaseModel):
    """Everything that is stored of an item."""

    item_id: str
    title: str | None
    category: str
    price: float | None
    tags: list[str]
    in_stock: bool
    listed: bool = Field(description="False once the item is withdrawn.")
    avg_rating: float | None
    num_ratings: int
    created_at: str | None
    updated_at: str
    attributes: dict[str, Any]


class StoredEvent(BaseModel):
    """A stored event."""

    event_id: str
    item_id: str
    type: str
    value: float | None
    timestamp: str
    session_id: str | None
    request_id: str | None
    position: int | None


class StoredUser(BaseModel):
    """A stored user. The numbers are those of the last fit, absent before it."""

    user_id: str
    created_at: str | None = None
    updated_at: str | None = None
    total_purchases: int | None = None
    avg_rating: float | None = None
    num_ratings: int | None = None
    favorite_categories: list[str] = []
    recent_views: list[str] = []
    attributes: dict[str, Any] = {}
    events: list[StoredEvent] = Field(description="The latest 100, the latest first.")
