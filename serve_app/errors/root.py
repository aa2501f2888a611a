"""Defines the root of all errors, which makes each of them a dataclass of its facts."""

from dataclasses import dataclass, field, fields
from typing import ClassVar, dataclass_transform


@dataclass_transform(eq_default=False, field_specifiers=(field,))
@dataclass(eq=False)
class RecserveError(Exception):
    """Root of all errors of recserve. Makes every error a dataclass.

    Attributes:
        text: the message; names in braces are facts of the error.
    """

    text: ClassVar[str]

    def __init_subclass__(cls) -> None:
        # Without equality: an error is equal to itself alone, as all exceptions are.
        dataclass(eq=False)(cls)

    def __post_init__(self) -> None:
        # A pickle gives ``args`` to the constructor. Keyword arguments would be lost otherwise.
        self.args = tuple(getattr(self, fact.name) for fact in fields(self) if fact.init)

    def __str__(self) -> str:
        return self.text.format(**vars(self))
