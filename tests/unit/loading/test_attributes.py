import json
from datetime import timedelta
from decimal import Decimal

import pytest

from serve_app.loading.attributes import infer_attribute_kinds, read_attributes


@pytest.mark.parametrize(
    ("cells", "kind", "stored"),
    [
        (["12", "-3.5", None], "number", [12, -3.5, None]),
        (["12", "0.10"], "number", [12, 0.1]),
        (["007", "12"], "text", ["007", "12"]),
        (["12", "A12"], "text", ["12", "A12"]),
        (["1e5", "nan"], "text", ["1e5", "nan"]),
        (["123456789012345678"], "text", ["123456789012345678"]),
        (["true", "False", None], "flag", [True, False, None]),
        (["true", "1"], "text", ["true", "1"]),
        (["s|m", "l", "4"], "list", [["s", "m"], ["l"], ["4"]]),
        ([None, None], "text", [None, None]),
    ],
)
def test_all_cells_of_an_attribute_get_one_type(
    cells: list[object], kind: str, stored: list[object]
) -> None:
    kinds = infer_attribute_kinds([{"x": cells[:1]}, {"x": cells[1:]}])
    assert kinds == {"x": kind}
    assert [json.loads(text)["x"] for text in read_attributes({"x": cells}, kinds, {})] == stored


def test_typed_attributes_keep_their_types() -> None:
    cells = [3, True, "x", ["a"], {"a": [1]}, Decimal("1.5"), timedelta(seconds=3), b"ab"]
    stored = [json.loads(text)["x"] for text in read_attributes({"x": cells}, {}, {})]
    assert stored == [3, True, "x", ["a"], {"a": [1]}, 1.5, 3.0, "ab"]
