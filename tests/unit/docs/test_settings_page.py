"""The page of settings, generated from small classes and from the real ones."""

from collections.abc import Mapping
from typing import Literal

import pytest
from pydantic import Field

from docs.settings_page import (
    SECTIONS,
    Setting,
    settings_in,
    settings_of,
    settings_page,
)
from serve_app.domain.settings import Settings


class Oven(Settings):
    heat: int = Field(default=200, ge=0, lt=1_000, description="Heat in degrees.")
    grill: bool = False
    light: Literal[True] = True


class Kitchen(Settings):
    name: str
    colour: Literal["red", "blue"] | None = Field(default=None, description="Red | blue.")
    hours: tuple[float, ...] = Field(default=(7, 22.5), description="Opening\n    hours.")
    oven: Oven = Oven(heat=180)
    spare: Mapping[str, Oven] = {}
    prices: Mapping[str, float] = {}


ROWS = {setting.path: setting for setting in settings_of(Kitchen)}


def test_rows_have_the_order_of_the_fields():
    assert list(ROWS) == [
        "name",
        "colour",
        "hours",
        "oven.heat",
        "oven.grill",
        "oven.light",
        "spare.<name>.heat",
        "spare.<name>.grill",
        "spare.<name>.light",
        "prices",
    ]


def test_a_setting_without_default_is_required():
    assert ROWS["name"] == Setting("name", "required", "text", "")


def test_the_default_of_the_holding_field_overrides_that_of_the_class():
    assert ROWS["oven.heat"].default == "`180`"
    assert ROWS["spare.<name>.heat"].default == "`200`"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("oven.heat", "whole number, at least 0, below 1,000"),
        ("oven.grill", "`true`, `false`"),
        ("oven.light", "`true`"),
        ("colour", "`red`, `blue` or `null`"),
        ("hours", "list (number)"),
        ("prices", "mapping (number)"),
    ],
)
def test_types_and_bounds_are_said_in_words(path, allowed):
    assert ROWS[path].allowed == allowed


def test_a_description_is_one_line_that_breaks_no_table():
    assert ROWS["hours"].meaning == "Opening hours."
    assert ROWS["colour"].meaning == "Red \\| blue."


def test_every_section_has_its_table_on_the_page():
    page = settings_page()

    assert "<!--" not in page
    for section in SECTIONS:
        for setting in settings_in(section):
            assert f"\n| `{setting.path}` | {setting.default} | {setting.allowed} | " in page


def test_a_section_leaves_out_what_another_explains():
    assert not [each for each in settings_in("fit") if each.path.startswith("candidates.")]
    assert [each for each in settings_in("application") if each.path.startswith("candidates.")]
