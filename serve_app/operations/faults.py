"""
What can be said against a value by the pydantic model that it is meant for.

Models that ignore unknown keys are checked for them here, through lists, mappings and unions.
"""

import difflib
import types
import typing
import warnings
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

Place = tuple[str | int, ...]
Problem = tuple[Place, str]

_NOT_A_MAPPING = "must be a mapping of keys to values"


def faults(value: Any, model: type[BaseModel], place: Place) -> list[Problem]:
    """Everything that can be said against ``value`` from ``model`` alone."""
    misplaced = list(_misplaced(value, model, place))
    places, messages = {place for place, _ in misplaced}, {message for _, message in misplaced}
    if _NOT_A_MAPPING in messages:
        # Ray's own validators trip over a list or a number where they expect a mapping.
        return misplaced
    refused = _refused(value, model, place)
    return misplaced + [one for one in refused if one[0] not in places and one[1] not in messages]


def accepts(model: type[BaseModel], value: Any) -> bool:
    """Whether ``model`` takes ``value``, unknown keys aside."""
    misshapen = any(one[1] == _NOT_A_MAPPING for one in _misplaced(value, model, ()))
    return not misshapen and not any(_refused(value, model, ()))


def written(place: Place) -> str:
    """``("applications", 0, "args")`` as ``applications[0].args``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".") or "the file"


def near(key: object, known: Collection[str]) -> str:
    """What may have been meant by ``key``."""
    close = difflib.get_close_matches(str(key), known, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"


def _misplaced(value: Any, annotation: Any, place: Place) -> Iterator[Problem]:
    """Keys that no model on the way through ``annotation`` has."""
    alternatives = _alternatives(annotation)
    models = [one for one in alternatives if _is_model(one)]
    if isinstance(value, Mapping):
        if len(models) == 1:
            yield from _unknown_keys(value, models[0], place)
            if any(_is_dict(one) for one in alternatives):
                # Where Ray takes a plain dict as well, pydantic never looks inside.
                refused = list(_refused(value, models[0], place))
                yield from refused or _deprecated(value, models[0], place)
        elif inner := [args[1] for one in alternatives if len(args := typing.get_args(one)) == 2]:
            for key, part in value.items():
                yield from _misplaced(part, inner[0], (*place, key))
    elif isinstance(value, list) and (
        inner := [args[0] for one in alternatives if len(args := typing.get_args(one)) == 1]
    ):
        for i, part in enumerate(value):
            yield from _misplaced(part, inner[0], (*place, i))
    elif models and not _takes(annotation, value) and all(map(_is_mapping, alternatives)):
        yield place, _NOT_A_MAPPING


def _unknown_keys(
    value: Mapping[Any, Any], model: type[BaseModel], place: Place
) -> Iterator[Problem]:
    known = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    for key, inner in value.items():
        if key in known:
            yield from _misplaced(inner, known[key], (*place, key))
        else:
            yield (*place, key), f"unknown key; {near(key, known)}"


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union, without None."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [one for part in typing.get_args(annotation) for one in _alternatives(part)]
    return [] if annotation is types.NoneType else [annotation]


def _takes(annotation: Any, value: Any) -> bool:
    """Whether nothing is said by ``value``, and may be."""
    return value is None and types.NoneType in typing.get_args(annotation)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_dict(annotation: Any) -> bool:
    return (typing.get_origin(annotation) or annotation) is dict


def _is_mapping(annotation: Any) -> bool:
    return _is_model(annotation) or _is_dict(annotation)


def _refused(value: Any, model: type[BaseModel], place: Place) -> Iterator[Problem]:
    """What ``model`` says against ``value``."""
    try:
        with warnings.catch_warnings(action="ignore"):
            model.model_validate(value)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            yield place + _place_in(value, fault["loc"]), fault["msg"].removeprefix("Value error, ")
    # Ray imports the policies and routers that a configuration names while it validates.
    except (ImportError, AttributeError) as error:
        yield place, f"names what cannot be imported: {error}"


def _deprecated(value: Any, model: type[BaseModel], place: Place) -> Iterator[Problem]:
    """What ``model`` accepts and announces to refuse one day."""
    with warnings.catch_warnings(record=True, action="always") as caught:
        model.model_validate(value)
    for warning in caught:
        if warning.category in (FutureWarning, DeprecationWarning):
            yield place, str(warning.message)


def _place_in(value: Any, location: Place) -> Place:
    """``location`` without the parts with which pydantic names the member of a union."""
    found: list[str | int] = []
    for part in location:
        if isinstance(value, Mapping) and (part in value or part == location[-1]):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
        else:
            continue
        found.append(part)
    return tuple(found)
