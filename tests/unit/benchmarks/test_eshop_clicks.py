"""The converter of clicks, on a table small enough to check by hand."""

from datetime import date

import pandas as pd
import pytest

from benchmarks.datasets.eshop_clicks import COLUMNS, convert_clicks, main, read_clicks
from serve_app.errors import DataRejected

CLICKS = pd.DataFrame(
    [
        (7, 2, date(2008, 4, 1), "B4", "skirts", 3, 52),
        (7, 1, date(2008, 4, 1), "A13", "trousers", 1, 28),
        (8, 1, date(2008, 4, 2), "A13", "trousers", 1, 28),
    ],
    columns=list(COLUMNS),
)


def test_a_session_is_a_user_and_the_order_becomes_seconds():
    found = convert_clicks(CLICKS).interactions

    assert found["user_id"].tolist() == ["7", "7", "8"]
    assert found["item_id"].tolist() == ["A13", "B4", "A13"]
    assert found["type"].unique().tolist() == ["click"]
    assert [str(at) for at in found["timestamp"]] == [
        "2008-04-01 00:00:01+00:00",
        "2008-04-01 00:00:02+00:00",
        "2008-04-02 00:00:01+00:00",
    ]


def test_items_have_category_price_and_a_colour_without_order():
    found = convert_clicks(CLICKS).items

    assert found.to_dict("list") == {
        "item_id": ["A13", "B4"],
        "category": ["trousers", "skirts"],
        "price": [28.0, 52.0],
        "colour": ["colour 1", "colour 3"],
    }


def test_the_command_writes_both_files(tmp_path, capsys):
    CLICKS.to_parquet(tmp_path / "source.parquet")
    main([str(tmp_path / "source.parquet"), str(tmp_path / "out")])

    assert "3 clicks on 2 items" in capsys.readouterr().out
    assert len(pd.read_parquet(tmp_path / "out/interactions.parquet")) == 3
    assert len(pd.read_parquet(tmp_path / "out/items.parquet")) == 2


class TestRefuses:
    def test_a_missing_file(self, tmp_path):
        with pytest.raises(DataRejected, match="there is no such file"):
            read_clicks(tmp_path / "none.parquet")

    def test_a_file_of_another_format(self, tmp_path):
        (tmp_path / "x.parquet").write_text("session_id")
        with pytest.raises(DataRejected, match="it is not a Parquet file"):
            read_clicks(tmp_path / "x.parquet")

    def test_a_table_without_a_column(self, tmp_path):
        CLICKS.drop(columns=["order", "item"]).to_parquet(tmp_path / "x.parquet")
        with pytest.raises(DataRejected, match="it has no column order, item"):
            read_clicks(tmp_path / "x.parquet")

    def test_in_one_sentence_on_the_command_line(self, tmp_path):
        with pytest.raises(SystemExit, match=r"error: .*there is no such file"):
            main([str(tmp_path / "none.parquet"), str(tmp_path)])
