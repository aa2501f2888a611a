"""Lists what pydantic has against a value, unknown keys included."""

import difflib
import typing
import warnings
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

Location = tuple[str | int, ...]
Fault = tuple[Location, str]

NOT_A_MAPPING = "must be a mapping of keys to values"


def faults(value: Any, model: type[BaseModel], location: Location) -> list[Fault]:
    """Validates ``value`` and lists its faults, at most one for each position.

    Args:
        model: an unknown key is a fault even if this model, or one below it, ignores the key.
        location: position of ``value`` in the file.
    """
    by_location = dict(_ignored_keys(value, model, location))
    try:
        with warnings.catch_warnings(record=True, action="always") as caught:
            model.model_validate(value, extra="forbid")
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            # A union reports a fault once for each of its members.
            position = location + _position(value, fault["loc"])
            by_location.setdefault(position, _message(fault, model))
    # Ray imports the policies and routers that a configuration names while it validates.
    except (ImportError, AttributeError) as error:
        by_location[location] = f"names what cannot be imported: {error}"
    else:
        for warning in caught:
            if warning.category in (FutureWarning, DeprecationWarning):
                by_location[location] = str(warning.message)
    return list(by_location.items())


def accepts(model: type[BaseModel], value: Any) -> bool:
    """Tells whether ``value`` is valid when unknown keys are ignored."""
    try:
        with warnings.catch_warnings(action="ignore"):
            model.model_validate(value)
    except (ValidationError, ImportError, AttributeError):
        return False
    return True


def written(location: Location) -> str:
    """Writes ``("applications", 0, "args")`` as ``applications[0].args``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "the file"


def near(key: object, known: Collection[str]) -> str:
    """Suggests the known key that is most similar to ``key``, or lists all of them."""
    close = difflib.get_close_matches(str(key), known, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"


def _ignored_keys(value: Any, model: type[BaseModel], location: Location) -> Iterator[Fault]:
    """Yields the unknown keys that pydantic lets pass.

    Pydantic calls the ``__init__`` of a class that defines one, and forgets ``extra`` on the way.
    """
    if not isinstance(value, Mapping):
        return
    if model.__init__ is not BaseModel.__init__:
        known = _known_keys(model, ())
        yield from (((*location, key), _unknown(key, known)) for key in value if key not in known)
    for name, field in model.model_fields.items():
        for below in _models_in(field.annotation):
            yield from _ignored_keys(value.get(name), below, (*location, name))


def _message(fault: Any, model: type[BaseModel]) -> str:
    if fault["type"] == "extra_forbidden":
        *location, key = fault["loc"]
        return _unknown(key, _known_keys(model, location))
    message: str = fault["msg"].removeprefix("Value error, ")
    return NOT_A_MAPPING if fault["type"] in ("model_type", "dict_type") else message


def _unknown(key: object, known: Collection[str]) -> str:
    return f"unknown key; {near(key, known)}"


def _known_keys(model: type[BaseModel], location: Collection[str | int]) -> list[str]:
    """Keys of the model at ``location`` below ``model``."""
    for part in location:
        # Other parts are positions in lists, keys of mappings, or names of union members.
        if part in model.model_fields:
            model = next(_models_in(model.model_fields[str(part)].annotation), model)
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models_in(part)


def _position(value: Any, location: Location) -> Location:
    """``location`` without the parts by which pydantic names the members of a union."""
    position: list[str | int] = []
    for part in location:
        if isinstance(value, Mapping) and (part in value or part == location[-1]):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
        else:
            continue
        position.append(part)
    return tuple(position)
