from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serve_app.domain.interactions import PURCHASE, RATING
from serve_app.errors import DataRejected
from serve_app.loading.in_memory import read_files
from serve_app.loading.load import InputFiles, LoadConfig

NOW_AT = 1_700_000_000.0

INTERACTIONS = """user_id,item_id,timestamp,type,value,event_id
bob,pan,2023-01-02T00:00:00Z,purchase,2,e2
ann,pot,2023-01-03,rating,4,e3
ann,pan,2023-01-01,,,e1
ann,pan,2023-01-01,,,e1
"""
ITEMS = """item_id,title,price,tags,colour
pan,Old pan,1,a|b,red
pan,Pan,2.5,a,
lid,,,,blue
"""


def write(folder: Path, **texts: str) -> InputFiles:
    files = {}
    for name, text in texts.items():
        files[name] = folder / f"{name}.csv"
        files[name].write_text(text, encoding="utf-8")
    return InputFiles(**files)


def read(files, config=LoadConfig()):  # noqa: B008 (frozen)
    return read_files(files, config, lambda share: None, now_at=NOW_AT)


class TestInteractions:
    def test_are_ordered_by_user_and_time(self, tmp_path):
        shop = read(write(tmp_path, interactions=INTERACTIONS))
        log, ids = shop.log, shop.items["item_id"]

        assert log.user_ids == ("ann", "bob")
        assert log.users.tolist() == [0, 0, 1]
        assert ids[log.rows].tolist() == ["pan", "pot", "pan"]
        assert log.types.tolist() == [PURCHASE, RATING, PURCHASE]
        np.testing.assert_array_equal(log.values, np.array([np.nan, 4, 2], np.float32))
        assert log.at[0] == pd.Timestamp("2023-01-01", tz="UTC").timestamp()

    def test_are_equal_from_csv_and_parquet(self, tmp_path):
        frame = pd.DataFrame(
            {
                "user_id": ["bob", "ann"],
                "item_id": ["pan", "pot"],
                "timestamp": pd.to_datetime(["2023-01-02", "2023-01-03"], utc=True),
            }
        )
        frame.to_parquet(tmp_path / "a.parquet")
        frame.to_csv(tmp_path / "a.csv", index=False)
        [one, other] = (
            read(InputFiles(interactions=tmp_path / f"a.{ending}")) for ending in ("csv", "parquet")
        )

        assert one.log.user_ids == other.log.user_ids == ("ann", "bob")
        np.testing.assert_array_equal(one.log.at, other.log.at)
        np.testing.assert_array_equal(one.log.rows, other.log.rows)

    def test_with_equal_fields_are_one_event(self, tmp_path):
        line = "ann,pan,2023-01-01\n"
        shop = read(write(tmp_path, interactions="user_id,item_id,timestamp\n" + 3 * line))

        assert len(shop.log) == 1

    def test_of_one_order_are_told_apart_on_request(self, tmp_path):
        text = "event_id,user_id,item_id,timestamp\no1,ann,pan,2023-01-01\no1,ann,pot,2023-01-01\n"
        files = write(tmp_path, interactions=text)

        with pytest.raises(DataRejected, match=r'1 × event_id is that of another .*line 3: "o1"'):
            read(files)
        assert len(read(files, LoadConfig(max_reject_share=1)).log) == 1
        assert len(read(files, LoadConfig(event_id="order")).log) == 2

    def test_are_required(self, tmp_path):
        files = write(tmp_path, interactions="user_id,item_id,timestamp\n")
        with pytest.raises(DataRejected, match="it has no rows"):
            read(files)


class TestItems:
    def test_are_described_by_their_last_line(self, tmp_path):
        items = read(write(tmp_path, interactions=INTERACTIONS, items=ITEMS)).items
        pan = items.set_index("item_id").loc["pan"]

        assert (pan["title"], pan["price"], pan["tags"]) == ("Pan", 2.5, ["a"])
        assert pan["attributes"] == {}

    def test_get_defaults_for_missing_values(self, tmp_path):
        items = read(write(tmp_path, interactions=INTERACTIONS, items=ITEMS)).items
        lid = items.set_index("item_id").loc["lid"]

        assert (lid["title"], lid["category"], lid["in_stock"]) == ("lid", "unknown", True)
        assert np.isnan(lid["price"])
        assert lid["attributes"] == {"colour": "blue"}

    def test_include_those_that_only_interactions_name(self, tmp_path):
        items = read(write(tmp_path, interactions=INTERACTIONS, items=ITEMS)).items

        assert items["item_id"].tolist() == ["pan", "lid", "pot"]
        assert items["item_row"].tolist() == [0, 1, 2]
        assert items["title"].tolist()[2] == "pot"


def test_reads_users_with_the_time_of_their_creation(tmp_path):
    users = "user_id,created_at\nann,2022-01-01\nbob,\n"
    shop = read(write(tmp_path, interactions=INTERACTIONS, users=users))

    assert shop.users["user_id"].tolist() == ["ann", "bob"]
    assert shop.users["created_at"].isna().tolist() == [False, True]


def test_counts_items_that_the_items_file_does_not_name(tmp_path):
    items = "item_id,title\npan,Pan\n"

    assert read(write(tmp_path, interactions=INTERACTIONS, items=items)).n_bare_items > 0
    assert read(write(tmp_path, interactions=INTERACTIONS)).n_bare_items == 0


class TestBadRows:
    def test_are_left_out_and_counted(self, tmp_path):
        text = INTERACTIONS + "cas,pan,yesterday,,,e9\n"
        shop = read(write(tmp_path, interactions=text), LoadConfig(max_reject_share=0.5))

        assert shop.n_rejected == {"items": 0, "users": 0, "interactions": 1}
        assert shop.log.user_ids == ("ann", "bob")

    def test_refuse_the_file_if_they_are_many(self, tmp_path):
        text = INTERACTIONS + "cas,pan,yesterday,,,e9\n"

        with pytest.raises(DataRejected, match=r"1 of 5 rows are bad, .* 10% .* 1 × timestamp"):
            read(write(tmp_path, interactions=text))

    def test_refuse_the_file_if_all_rows_are_bad(self, tmp_path):
        text = "user_id,item_id,timestamp\ncas,pan,yesterday\n"

        with pytest.raises(DataRejected, match="all of its rows are bad: 1 × timestamp"):
            read(write(tmp_path, interactions=text), LoadConfig(max_reject_share=1))

    def test_a_missing_column_is_named(self, tmp_path):
        with pytest.raises(DataRejected, match="no column 'timestamp'"):
            read(write(tmp_path, interactions="user_id,item_id\nann,pan\n"))

    def test_leave_no_file_behind(self, tmp_path):
        text = INTERACTIONS + "cas,pan,yesterday,,,e9\n"
        read(write(tmp_path, interactions=text), LoadConfig(max_reject_share=0.5))

        assert [file.name for file in tmp_path.iterdir()] == ["interactions.csv"]


def test_says_how_the_columns_are_understood(tmp_path):
    shop = read(
        write(
            tmp_path,
            interactions="user_id,item_id,timestamp,typ\nann,pan,2023-01-01,view\n",
            items="item_id,colour\npan,red\n",
        )
    )

    assert shop.notes == (
        "items: new attributes: colour (text)",
        "interactions: not used: typ (known are type, value, event_id, session_id, request_id,"
        " position)",
        "interactions: no column 'type': every row counts as a purchase",
    )
