"""Prints the page of all settings, made from the classes that define them."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from serve_app.evaluation.evaluator import EvaluationConfig
from serve_app.fitting.fit_config import FitConfig
from serve_app.loading.load import LoadConfig
from serve_app.next_items.next_evaluator import NextConfig
from serve_app.serving.config import AppConfig, IngressConfig

SECTIONS: Mapping[str, type[BaseModel]] = {
    "application": AppConfig,
    "experiment": IngressConfig,
    "fit": FitConfig,
    "load": LoadConfig,
    "evaluation": EvaluationConfig,
    "next items": NextConfig,
}
"""The class whose settings replace each marker in ``settings_page.template.md``."""

LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "fit": ("candidates.", "ranking."),
    "evaluation": ("protocol.label.", "reading.", "ours."),
    "next items": ("protocol.label.", "reading.", "ours."),
}
"""Beginnings of paths that another section of the page explains."""

Schema = Mapping[str, Any]


class Setting(NamedTuple):
    """One row of the page.

    Attributes:
        path: names from the root of the class down to the setting, joined by dots.
        default: as in YAML, or ``required``.
        allowed: type and bounds in words.
        meaning: the description of the field; empty where it has none.
    """

    path: str
    default: str
    allowed: str
    meaning: str


def settings_page() -> str:
    """The whole page as Markdown."""
    page = Path(__file__).with_suffix(".template.md").read_text(encoding="utf-8")
    for section in SECTIONS:
        page = page.replace(f"<!-- {section} -->", _table(settings_in(section)))
    return page


def settings_in(section: str) -> Iterator[Setting]:
    """The settings of a section that no other section explains."""
    left_out = LEFT_OUT.get(section, ())
    for setting in settings_of(SECTIONS[section]):
        if not setting.path.startswith(left_out):
            yield setting


def settings_of(model: type[BaseModel]) -> Iterator[Setting]:
    """Every setting below a class, in the order of its fields."""
    schema = model.model_json_schema()
    return _settings(schema, schema.get("$defs", {}), "", {})


def _settings(
    node: Schema, definitions: Schema, prefix: str, defaults: Mapping[str, Any]
) -> Iterator[Setting]:
    for name, field in node["properties"].items():
        path, target = f"{prefix}{name}", _resolved(field, definitions)
        entries = _resolved(_entries(target), definitions)
        # A field that holds a class may override the defaults of that class.
        default = defaults.get(name, field.get("default", ...))
        if "properties" in target:
            yield from _settings(target, definitions, f"{path}.", {} if default is ... else default)
        elif "properties" in entries:
            yield from _settings(entries, definitions, f"{path}.<name>.", {})
        else:
            meaning = " ".join(field.get("description", "").split()).replace("|", "\\|")
            yield Setting(path, _default(default), _allowed(target), meaning)


def _resolved(field: Schema, definitions: Schema) -> Schema:
    reference = field.get("$ref")
    return definitions[reference.rsplit("/", 1)[-1]] if reference else field


def _entries(field: Schema) -> Schema:
    """Content of a list or a mapping; empty for anything else."""
    by_pattern = field.get("patternProperties", {}).values()
    entries: Schema = field.get("items") or field.get("additionalProperties") or {}
    return next(iter(by_pattern), entries)


def _default(value: Any) -> str:
    return "required" if value is ... else f"`{json.dumps(_short(value))}`"


def _short(value: Any) -> Any:
    """Whole numbers without the ``.0`` of a float."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "array": "list",
    "object": "mapping",
    "null": "`null`",
}
_BOUNDS = {
    "minimum": "at least {:,}",
    "exclusiveMinimum": "above {:,}",
    "maximum": "at most {:,}",
    "exclusiveMaximum": "below {:,}",
}


def _allowed(field: Schema) -> str:
    if "anyOf" in field:
        return " or ".join(map(_allowed, field["anyOf"]))
    if "const" in field:
        return _default(field["const"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field["type"] == "boolean":
        return "`true`, `false`"
    bounds = [text.format(_short(field[key])) for key, text in _BOUNDS.items() if key in field]
    entries = _entries(field)
    kind = _TYPES[field["type"]] + (f" ({_allowed(entries)})" if entries else "")
    return ", ".join([kind, *bounds])


def _table(settings: Iterable[Setting]) -> str:
    lines = ["| setting | default | allowed | meaning |", "|---|---|---|---|"]
    for path, *cells in settings:
        lines.append(f"| `{path}` | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(settings_page())
