"""Tests loading files into a real PostgreSQL."""

import csv
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from threading import Event

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serve_app.database import bulk_load
from serve_app.database.bulk_load import MergeCounts
from serve_app.database.schema import Connection, connect, lock_loads, only_fit
from serve_app.errors import DatabaseFailed, DataRejected, SchemaMismatch, SettingsInvalid
from serve_app.fitting.fit_source import FitSource
from serve_app.loading.attributes import AttributeKind
from serve_app.loading.load import InputFiles, LoadConfig, LoadSummary, load

NOW_AT = 1_750_000_000.0
LENIENT = LoadConfig(max_reject_share=1.0)
TABLES = ("item_features", "user_features", "interactions")


def run(conn: Connection, **files: Path) -> LoadSummary:
    return load_with(conn, LENIENT, **files)


def load_with(conn: Connection, config: LoadConfig, **files: Path) -> LoadSummary:
    return load(conn, InputFiles(**files), config, lambda file, share: None, now_at=NOW_AT)


def stamps(conn: Connection) -> dict[str, datetime]:
    """The time of the last change of each item."""
    return dict(conn.execute("SELECT item_id, updated_at FROM item_features").fetchall())


def counts(summary: LoadSummary) -> MergeCounts:
    (file,) = summary.files
    return file.counts


def write_csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def write_parquet(path: Path, **columns: pa.Array | Sequence[object]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def everything(conn: Connection) -> list[list[tuple[object, ...]]]:
    return [conn.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in TABLES]


def values(conn: Connection, query: str) -> list[object]:
    return [value for (value,) in conn.execute(query)]


def rejects_of(file: Path) -> list[list[str]]:
    with file.with_name(f"{file.name}.rejects.csv").open(newline="") as text:
        return list(csv.reader(text))


def csv_shop(folder: Path) -> dict[str, Path]:
    return {
        "items": write_csv(
            folder / "items.csv",
            "item_id,title,category,price,tags,in_stock,created_at,weight,organic,brand,sizes",
            'pan,"Pan, large",kitchen,12.5,steel|new,false,2023-11-14T22:13:20Z,3,true,007,s|m',
            "pot,,,,,,,,false,x,",
        ),
        "users": write_csv(
            folder / "users.csv", "user_id,created_at,country", "ann,2024-01-01,PT", "bob,,"
        ),
        "interactions": write_csv(
            folder / "interactions.csv",
            "user_id,item_id,timestamp,type,value",
            "ann,pan,2024-05-01T10:00:00Z,purchase,2",
            "ann,pot,1714557600,,",
            "bob,jug,2024-05-01 12:00:00+02:00,rating,4.5",
        ),
    }


def parquet_shop(folder: Path) -> dict[str, Path]:
    return {
        "items": write_parquet(
            folder / "items.parquet",
            item_id=["pan", "pot"],
            title=["Pan, large", None],
            category=["kitchen", None],
            price=[12.5, float("nan")],
            tags=[["steel", "new"], None],
            in_stock=[False, None],
            created_at=pa.array([1_700_000_000_000, None], pa.timestamp("ms")),
            weight=[3, None],
            organic=[True, False],
            brand=["007", "x"],
            sizes=[["s", "m"], None],
        ),
        "users": write_parquet(
            folder / "users.parquet",
            user_id=["ann", "bob"],
            created_at=["2024-01-01", None],
            country=["PT", None],
        ),
        "interactions": write_parquet(
            folder / "interactions.parquet",
            user_id=["ann", "ann", "bob"],
            item_id=["pan", "pot", "jug"],
            timestamp=pa.array([1_714_557_600] * 3, pa.timestamp("s", "UTC")),
            type=["purchase", None, "rating"],
            value=[2.0, None, 4.5],
        ),
    }


@pytest.fixture(params=[csv_shop, parquet_shop])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Path]:
    """The same small shop in both formats."""
    files: dict[str, Path] = request.param(tmp_path)
    return files


def test_keeps_what_the_files_say_of_items(conn: Connection, shop: dict[str, Path]) -> None:
    run(conn, items=shop["items"])

    pan, pot = conn.execute(
        "SELECT item_row, item_id, title, category, price, tags, in_stock,"
        " date_part('epoch', created_at), attributes FROM item_features ORDER BY item_row"
    )
    attributes = {"weight": 3, "organic": True, "brand": "007", "sizes": ["s", "m"]}
    assert pan == (
        0, "pan", "Pan, large", "kitchen", 12.5, ["steel", "new"], False, 1.7e9, attributes
    )  # fmt: skip
    attributes = {"organic": False, "brand": "x"}
    assert pot == (1, "pot", None, "unknown", None, [], True, None, attributes)


def test_keeps_what_the_files_say_of_users(conn: Connection, shop: dict[str, Path]) -> None:
    run(conn, users=shop["users"])

    assert conn.execute(
        "SELECT user_id, date_part('epoch', created_at), attributes FROM user_features ORDER BY 1"
    ).fetchall() == [("ann", 1_704_067_200.0, {"country": "PT"}), ("bob", None, {})]


def test_makes_a_bare_item_for_an_interaction_with_an_unknown_one(
    conn: Connection, shop: dict[str, Path]
) -> None:
    summary = run(conn, **shop)

    assert summary.n_bare_items == 1
    assert conn.execute(
        "SELECT user_id, item_id, type, value, date_part('epoch', at) FROM interactions"
        " JOIN item_features USING (item_row) ORDER BY user_id, item_id"
    ).fetchall() == [
        ("ann", "pan", 3, 2.0, 1_714_557_600.0),
        ("ann", "pot", 3, None, 1_714_557_600.0),
        ("bob", "jug", 4, 4.5, 1_714_557_600.0),
    ]


def test_loading_again_changes_nothing(conn: Connection, shop: dict[str, Path]) -> None:
    first = run(conn, **shop)
    before = everything(conn)
    second = run(conn, **shop)

    assert everything(conn) == before
    assert [file.counts.new for file in first.files] == [2, 2, 3]
    assert [file.counts for file in second.files] == [
        MergeCounts(0, 0, n, 0) for n in (2, 2, 3)
    ]  # fmt: skip
    assert second.n_bare_items == 0


def test_both_formats_say_the_same(conn: Connection, tmp_path: Path) -> None:
    run(conn, **csv_shop(tmp_path))
    before = everything(conn)
    run(conn, **parquet_shop(tmp_path))

    assert everything(conn) == before


def test_updates_only_the_row_that_changed(conn: Connection, tmp_path: Path) -> None:
    run(conn, items=write_csv(tmp_path / "a.csv", "item_id,price", "pan,10", "pot,20"))
    before = stamps(conn)
    summary = run(conn, items=write_csv(tmp_path / "b.csv", "item_id,price", "pan,11", "pot,20"))
    after = stamps(conn)

    assert counts(summary) == MergeCounts(new=0, changed=1, unchanged=1, repeated=0)
    assert after["pan"] > before["pan"]
    assert after["pot"] == before["pot"]


def test_leaves_alone_what_a_file_has_no_column_for(conn: Connection, tmp_path: Path) -> None:
    run(conn, items=write_csv(tmp_path / "a.csv", "item_id,title,brand,size", "pan,Pan,Acme,3"))
    run(conn, items=write_csv(tmp_path / "b.csv", "item_id,category,size", "pan,kitchen,"))

    assert conn.execute("SELECT title, category, attributes FROM item_features").fetchall() == [
        ("Pan", "kitchen", {"brand": "Acme"})
    ]


def test_a_file_of_ids_alone_adds_what_is_new(conn: Connection, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", "item_id", "pan", "pot")
    assert counts(run(conn, items=file)) == MergeCounts(2, 0, 0, 0)
    assert counts(run(conn, items=file)) == MergeCounts(0, 0, 2, 0)


def test_the_last_line_of_an_item_wins(conn: Connection, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", "item_id,price", "pan,1", "pot,5", "pan,2", "pan,3")

    assert counts(run(conn, items=file)) == MergeCounts(new=2, changed=0, unchanged=0, repeated=2)
    assert values(conn, "SELECT price FROM item_features WHERE item_id = 'pan'") == [3.0]


def test_the_first_line_of_an_event_wins(conn: Connection, tmp_path: Path) -> None:
    header = "event_id,user_id,item_id,timestamp,value"
    file = write_csv(tmp_path / "a.csv", header, "e1,ann,pan,1.7e9,1", "e1,ann,pan,1.7e9,2")
    later = write_csv(tmp_path / "b.csv", header, "e1,ann,pan,1.7e9,3")

    assert counts(run(conn, interactions=file)) == MergeCounts(1, 0, 0, repeated=0)
    assert counts(run(conn, interactions=later)) == MergeCounts(0, 0, 0, repeated=0)
    assert values(conn, "SELECT value FROM interactions") == [1.0]


def test_rejects_an_event_whose_id_another_one_has(conn: Connection, tmp_path: Path) -> None:
    header = "event_id,user_id,item_id,timestamp"
    file = write_csv(
        tmp_path / "a.csv", header, "o1,ann,pan,1.7e9", "o1,ann,pan,1.7e9", "o1,ann,pot,1.7e9"
    )
    (summary,) = run(conn, interactions=file).files

    assert summary.counts == MergeCounts(new=1, changed=0, unchanged=0, repeated=1)
    assert summary.n_rows == 3
    ((line, reason, column, value),) = rejects_of(file)[1:]
    assert (line, column, value) == ("4", "event_id", "o1")
    assert "--event-id order" in reason
    with pytest.raises(DataRejected, match="1 of 3 rows are bad"):
        load_with(conn, LoadConfig(), interactions=file)


def test_rejects_an_event_that_is_stored_with_other_content(
    conn: Connection, tmp_path: Path
) -> None:
    header = "event_id,user_id,item_id,timestamp,type,value"
    good = "e1,ann,pan,1.7e9,rating,4"
    run(conn, interactions=write_csv(tmp_path / "a.csv", header, good))
    for changed in (
        "e1,bob,pan,1.7e9,rating,4",
        "e1,ann,pot,1.7e9,rating,4",
        "e1,ann,pan,1700000000.5,rating,4",
        "e1,ann,pan,1.7e9,view,4",
        "e1,ann,pan,1.7e9,rating,5",
    ):
        file = write_csv(tmp_path / "b.csv", header, good, changed)
        (summary,) = run(conn, interactions=file).files
        assert summary.counts == MergeCounts(0, 0, unchanged=1, repeated=0)
        assert rejects_of(file)[1][0] == "3"
    for changed in ("e1,bob,pan,1.7e9,rating,4",):
        file = write_csv(tmp_path / "c.csv", header, changed)
        run(conn, interactions=file)
        assert rejects_of(file)[1][0] == "2"


def test_loads_every_line_of_an_order(conn: Connection, tmp_path: Path) -> None:
    header = "event_id,user_id,item_id,timestamp"
    file = write_csv(tmp_path / "a.csv", header, "o1,ann,pan,1.7e9", "o1,ann,pot,1.7e9")
    orders = LoadConfig(event_id="order")

    assert counts(load_with(conn, orders, interactions=file)) == MergeCounts(2, 0, 0, 0)
    assert counts(load_with(conn, orders, interactions=file)) == MergeCounts(0, 0, 2, 0)


def test_an_event_without_id_is_known_by_its_stored_values(
    conn: Connection, tmp_path: Path
) -> None:
    header = "user_id,item_id,timestamp,value"
    first = write_csv(tmp_path / "a.csv", header, "ann,pan,1700000000.1234567,4.99")
    stored = write_parquet(
        tmp_path / "b.parquet",
        user_id=["ann"],
        item_id=["pan"],
        timestamp=pa.array([1_700_000_000_123_457], pa.timestamp("us")),
        value=pa.array([4.99], pa.float32()),
    )
    assert counts(run(conn, interactions=first)).new == 1
    assert counts(run(conn, interactions=stored)) == MergeCounts(0, 0, 1, 0)


def notes_of(summary: LoadSummary) -> tuple[str, ...]:
    (file,) = summary.files
    return file.notes


def test_names_unused_columns_and_says_what_a_missing_type_means(
    conn: Connection, tmp_path: Path
) -> None:
    file = write_csv(tmp_path / "a.csv", "user_id,item_id,timestamp,typ", "ann,pan,1.7e9,view")
    assert notes_of(run(conn, interactions=file)) == (
        "not used: typ (known are type, value, event_id, session_id, request_id, position)",
        "no column 'type': every row counts as a purchase",
    )


def test_says_that_columns_without_a_name_are_not_used(conn: Connection, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", ",item_id,", "0,a,1")
    assert notes_of(run(conn, items=file)) == ("not used: 2 columns without a name",)
    assert values(conn, "SELECT attributes FROM item_features") == [{}]


def test_says_how_many_rows_span_several_lines(conn: Connection, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", "item_id,title", 'a,"A\nB"', 'b,"C\n\nD"', "c,E")
    assert notes_of(run(conn, items=file)) == (
        "2 rows have line ends in quoted cells; the longest spans 3 lines from line 4 on",
    )


def test_says_how_many_items_come_from_the_future(conn: Connection, tmp_path: Path) -> None:
    file = write_csv(
        tmp_path / "a.csv",
        "item_id,created_at",
        "a,9999-12-31",
        "b,2099-01-01",
        "c,2020-01-01",
        "d,",
    )
    assert notes_of(run(conn, items=file)) == ("2 rows have a created_at in the future",)


def test_names_users_with_more_items_than_anybody_buys(
    conn: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_load, "MAX_ENDING_EVENTS", 3)
    header = "user_id,item_id,timestamp,type"
    guest = (f"guest,i{n},1.7e9,purchase" for n in range(4))
    often = (f"ann,i{n % 3},{1.7e9 + n},purchase" for n in range(9))
    file = write_csv(tmp_path / "a.csv", header, *guest, *often)

    (note,) = notes_of(run(conn, interactions=file))
    assert "items each: 'guest'. If such an id" in note

    conn.execute("INSERT INTO user_features (user_id, n_items) VALUES ('guest', 4), ('ann', 3)")
    assert bulk_load.stored_crowds(conn) == ["guest"]
    later = write_csv(tmp_path / "b.csv", header, "bob,i1,1.7e9,purchase")
    assert notes_of(run(conn, interactions=later)) == (note,)


def test_says_that_a_fit_has_a_threshold_for_another_scale(
    conn: Connection, tmp_path: Path
) -> None:
    file = write_csv(
        tmp_path / "a.csv", "user_id,item_id,timestamp,type,value", "a,b,1.7e9,rating,9"
    )
    (note,) = notes_of(load_with(conn, LoadConfig(max_rating=10), interactions=file))
    assert "label.min_rating" in note


def test_refuses_one_file_for_two_kinds_of_rows(conn: Connection, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", "user_id,item_id,timestamp", "ann,pan,1.7e9")
    (tmp_path / "b.csv").symlink_to(file)
    with pytest.raises(DataRejected, match="it is given twice: users and interactions have"):
        run(conn, users=tmp_path / "b.csv", interactions=file)
    assert everything(conn) == [[], [], []]


def test_a_file_may_have_no_rows(conn: Connection, tmp_path: Path) -> None:
    items = write_csv(tmp_path / "items.csv", "item_id,brand", "pan,x")
    events = write_csv(tmp_path / "events.csv", "user_id,item_id,timestamp,type")
    summary = load_with(conn, LoadConfig(), items=items, interactions=events)
    assert [file.counts.new for file in summary.files] == [1, 0]


def attribute(conn: Connection, item: str, name: str) -> object:
    (found,) = values(
        conn, f"SELECT attributes -> '{name}' FROM item_features WHERE item_id = '{item}'"
    )
    return found


def test_a_later_file_keeps_the_kinds_of_attributes(conn: Connection, tmp_path: Path) -> None:
    header = "item_id,size,colours,new"
    run(conn, items=write_csv(tmp_path / "a.csv", header, "pan,5,red|blue,true"))
    delta = write_csv(tmp_path / "b.csv", header, "pot,n/a,green,0", "jug,large,red,true")
    (summary,) = run(conn, items=delta).files

    assert attribute(conn, "pot", "size") is None
    assert attribute(conn, "pot", "colours") == ["green"]
    assert attribute(conn, "pot", "new") is False
    assert rejects_of(delta)[1:] == [
        ["3", "attribute size is not a number (--attribute changes its kind)", "size", "large"]
    ]
    assert summary.notes == ()


def test_a_fit_reads_the_kinds_that_are_remembered(conn: Connection, tmp_path: Path) -> None:
    source = FitSource(conn, str(tmp_path / "bundles"), tmp_path)
    run(conn, items=write_csv(tmp_path / "a.csv", "item_id,size,new", "pan,5,true"))
    run(conn, items=write_csv(tmp_path / "b.csv", "item_id,size,new", "pan,,"))
    before = source.state()
    assert source.read().kinds == {"size": "number", "new": "flag"}
    config = LENIENT.model_copy(update={"attributes": {"items.size": "text"}})
    load_with(conn, config, items=write_csv(tmp_path / "c.csv", "item_id", "pan"))
    assert source.state() != before


def test_a_parquet_file_follows_the_kinds_of_a_csv_file(conn: Connection, tmp_path: Path) -> None:
    run(conn, items=write_csv(tmp_path / "a.csv", "item_id,size", "pan,5"))
    for n, cells in enumerate((["6"], [7.5], pa.array([8], pa.int8()))):
        run(conn, items=write_parquet(tmp_path / f"{n}.parquet", item_id=[f"i{n}"], size=cells))
    assert [attribute(conn, f"i{n}", "size") for n in range(3)] == [6, 7.5, 8]


def test_names_new_attributes_with_their_kinds(conn: Connection, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", "item_id,size,brand,empty", "pan,5,x,", "pot,6,y,NULL")
    assert notes_of(run(conn, items=file)) == ("new attributes: brand (text), size (number)",)
    later = write_csv(tmp_path / "b.csv", "item_id,empty", "pan,7")
    assert notes_of(run(conn, items=later)) == ("new attributes: empty (number)",)


def test_a_refused_file_leaves_no_kinds_behind(conn: Connection, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", "item_id,price,size", "pan,x,5")
    with pytest.raises(DataRejected):
        load_with(conn, LoadConfig(), items=file)
    assert values(conn, "SELECT name FROM recserve_attributes") == []


@pytest.mark.parametrize(
    ("first", "kind", "stored"),
    [
        ("5", "text", "5"),
        ("5", "list", ["5"]),
        ("red|blue", "text", "red|blue"),
        ("x", "list", ["x"]),
        ("true", "text", "true"),
        ("007", "number", 7),
    ],
)
def test_changes_the_kind_of_stored_values_on_request(
    conn: Connection, tmp_path: Path, first: str, kind: AttributeKind, stored: object
) -> None:
    run(conn, items=write_csv(tmp_path / "a.csv", "item_id,size", f"pan,{first}"))
    other = write_csv(tmp_path / "b.csv", "item_id", "pot")
    load_with(conn, LoadConfig(max_reject_share=1, attributes={"items.size": kind}), items=other)

    assert attribute(conn, "pan", "size") == stored
    assert values(conn, "SELECT kind FROM recserve_attributes") == [kind]


def test_refuses_a_kind_that_stored_values_do_not_have(conn: Connection, tmp_path: Path) -> None:
    header = "item_id,size"
    run(conn, items=write_csv(tmp_path / "a.csv", header, "pan,large", "pot,5"))
    numbers = LoadConfig(max_reject_share=1, attributes={"items.size": "number"})
    before = everything(conn)

    with pytest.raises(SettingsInvalid, match=r"items.size=number: 1 stored values are no number"):
        load_with(conn, numbers, items=write_csv(tmp_path / "b.csv", header, "pot,6"))
    assert everything(conn) == before
    load_with(conn, numbers, items=write_csv(tmp_path / "c.csv", header, "pan,7"))
    assert [attribute(conn, item, "size") for item in ("pan", "pot")] == [7, 5]


@pytest.mark.parametrize("name", ["avg_rating", "num_ratings", "popularity"])
def test_refuses_an_attribute_with_the_name_of_a_computed_column(
    conn: Connection, tmp_path: Path, name: str
) -> None:
    file = write_csv(tmp_path / "a.csv", f"item_id,{name}", "pan,4.5")
    with pytest.raises(DataRejected, match=f"computes '{name}' itself: .* shop_{name}"):
        run(conn, items=file)


def test_refuses_numbers_that_no_filter_can_compare(conn: Connection, tmp_path: Path) -> None:
    file = write_parquet(
        tmp_path / "a.parquet", item_id=["a", "b", "c"], size=[1e20, 5.0, float("inf")]
    )
    run(conn, items=file)
    assert [line for line, *_ in rejects_of(file)[1:]] == ["1", "3"]
    assert attribute(conn, "b", "size") == 5


def test_a_stray_quote_spoils_one_line_and_names_it(conn: Connection, tmp_path: Path) -> None:
    lines = [f"i{n},Thing {n},{n}" for n in range(100)]
    lines[50] = 'i50,"12 inch pan,50'
    file = write_csv(tmp_path / "a.csv", "item_id,title,price", *lines)
    assert counts(load_with(conn, LoadConfig(), items=file)).new == 99
    ((line, _, _, shown),) = rejects_of(file)[1:]
    assert line == "52"
    assert shown == 'i50,"12 inch pan,50 … spans 50 lines'


def test_ids_are_equal_from_both_formats(conn: Connection, tmp_path: Path) -> None:
    run(conn, users=write_csv(tmp_path / "a.csv", "user_id", " ann ", "bob"))
    file = write_parquet(tmp_path / "b.parquet", user_id=["ann ", "\tbob", "None"])
    assert counts(run(conn, users=file)) == MergeCounts(0, 0, 2, 0)
    assert rejects_of(file)[1:] == [["3", "user_id is missing", "user_id", ""]]


def test_a_load_that_fails_takes_no_row_numbers(conn: Connection, tmp_path: Path) -> None:
    lost = write_csv(tmp_path / "a.csv", "item_id", *(f"i{n}" for n in range(50)))
    with conn.transaction(force_rollback=True):
        run(conn, items=lost)
    run(conn, items=write_csv(tmp_path / "b.csv", "item_id", "pan"))
    assert values(conn, "SELECT item_row FROM item_features") == [0]


def test_loads_that_meet_the_tables_in_other_orders_wait_for_each_other(
    database_url: str, tmp_path: Path
) -> None:
    items = write_csv(tmp_path / "i.csv", "item_id", *(f"i{n}" for n in range(300)))
    users = write_csv(tmp_path / "u.csv", "user_id", *(f"u{n}" for n in range(300)))
    events = write_csv(
        tmp_path / "e.csv",
        "user_id,item_id,timestamp",
        *(f"u{n},i{n + 100},1.7e9" for n in range(300)),
    )
    copies = {}
    for name, file in (("i2.csv", items), ("u2.csv", users)):
        copies[name] = tmp_path / name
        copies[name].write_text(file.read_text())

    # Either both loads are about to merge what they have read, or one waits for the other.
    all_read: list[Path] = []
    met = Event()

    def has_read(file: Path, share: float) -> None:
        all_read.append(file)
        if len(all_read) == 4:
            met.set()
        if file in last:
            assert met.wait(10)

    def load_both(files: dict[str, Path]) -> None:
        with connect(database_url) as conn:
            load(conn, InputFiles(**files), LENIENT, has_read, now_at=NOW_AT, wait=met.set)

    pairs = [
        {"items": items, "users": users},
        {"users": copies["u2.csv"], "interactions": events},
    ]
    last = {users, events}
    with ThreadPoolExecutor(2) as loaders:
        list(loaders.map(load_both, pairs))
    with connect(database_url) as conn:
        rows = values(conn, "SELECT item_row FROM item_features ORDER BY 1")
    assert rows == list(range(400))


def test_says_that_it_waits_for_another_load(database_url: str, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", "item_id", "pan")
    with connect(database_url) as first, connect(database_url) as second:
        with first.transaction():
            lock_loads(first, lambda: pytest.fail("nobody else loads"))
            second.execute("SET lock_timeout = '10ms'")
            told: list[str] = []
            with pytest.raises(DatabaseFailed, match=r"the load stopped, .* lock timeout"):
                load(
                    second,
                    InputFiles(items=file),
                    LENIENT,
                    lambda file, share: None,
                    now_at=NOW_AT,
                    wait=lambda: told.append("waits"),
                )
            assert told == ["waits"]
        assert counts(run(second, items=file)).new == 1


def test_says_that_it_waits_for_another_fit(database_url: str) -> None:
    told: list[str] = []

    def wait() -> None:
        told.append("waits")
        raise KeyboardInterrupt

    with (
        only_fit(database_url, lambda: pytest.fail("nobody else fits")),
        pytest.raises(KeyboardInterrupt),
        only_fit(database_url, wait),
    ):
        pytest.fail("another fit is under way")
    assert told == ["waits"]
    with only_fit(database_url, lambda: pytest.fail("the first fit has ended")):
        pass


def test_a_lost_connection_ends_in_a_sentence(database_url: str, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", "item_id", "pan")

    def cut(*_: object) -> None:
        with connect(database_url) as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", (conn.info.backend_pid,))

    with connect(database_url) as conn, pytest.raises(DatabaseFailed, match="the load stopped"):
        load(conn, InputFiles(items=file), LENIENT, cut, now_at=NOW_AT)


def test_a_role_that_may_only_read_is_told_so(conn: Connection, tmp_path: Path) -> None:
    conn.execute("SET default_transaction_read_only = on")
    file = write_csv(tmp_path / "a.csv", "item_id", "pan")
    with pytest.raises(SettingsInvalid, match="the server is read-only: name the primary"):
        run(conn, items=file)


def test_equal_interactions_without_event_id_count_once(conn: Connection, tmp_path: Path) -> None:
    header = "user_id,item_id,timestamp,session_id"
    lines = ("ann,pan,1700000000,s1", "ann,pan,2023-11-14T22:13:20Z,s1", "ann,pan,1700000000,s2")
    summary = run(conn, interactions=write_csv(tmp_path / "a.csv", header, *lines))

    assert counts(summary) == MergeCounts(new=2, changed=0, unchanged=0, repeated=1)


def test_row_numbers_have_no_gaps_and_never_change(conn: Connection, tmp_path: Path) -> None:
    good = write_csv(tmp_path / "a.csv", "item_id", "a", "b")
    bad = write_csv(tmp_path / "bad.csv", "user_id,item_id,timestamp", "ann,x,never")
    more = write_csv(tmp_path / "more.csv", "item_id", "c", "b", "d")
    run(conn, items=good)
    run(conn, items=good)
    with pytest.raises(DataRejected):
        load_with(conn, LoadConfig(), items=more, interactions=bad)
    run(conn, items=more)

    numbered = conn.execute("SELECT item_row, item_id FROM item_features ORDER BY 1").fetchall()
    assert numbered == [(0, "a"), (1, "b"), (2, "c"), (3, "d")]


def test_loads_at_the_same_time_give_every_item_one_row(database_url: str, tmp_path: Path) -> None:
    def load_some(start: int) -> None:
        ids = (f"i{n}" for n in range(start, start + 300))
        file = write_csv(tmp_path / f"from{start}.csv", "item_id", *ids)
        with connect(database_url) as conn:
            run(conn, items=file)

    with ThreadPoolExecutor(4) as loaders:
        list(loaders.map(load_some, (0, 100, 200, 300)))
    with connect(database_url) as conn:
        rows = values(conn, "SELECT item_row FROM item_features ORDER BY 1")
    assert rows == list(range(600))


def test_lists_bad_rows_with_their_lines_and_loads_the_others(
    conn: Connection, tmp_path: Path
) -> None:
    file = write_csv(
        tmp_path / "items.csv",
        "item_id,title,price",
        'pan,"two',
        'lines",1',
        "",
        ",nameless,1",
        "pot,pot,cheap",
        "jug,jug",
        "cup,cup,-1",
        "tin,tin,2",
        "box,box,-2",
    )
    summary = run(conn, items=file)

    assert rejects_of(file) == [
        ["line", "reason", "column", "value"],
        ["5", "item_id is missing", "item_id", ""],
        ["6", "price is not a number", "price", "cheap"],
        ["7", "the row has 2 cells, the header 3", "", "jug,jug"],
        ["8", "price is negative", "price", "-1"],
        ["10", "price is negative", "price", "-2"],
    ]
    assert values(conn, "SELECT item_id FROM item_features ORDER BY 1") == ["pan", "tin"]
    (of_items,) = summary.files
    assert of_items.n_rows == 7
    assert of_items.rejects["price is negative"] == 2
    assert of_items.rejects_file == tmp_path / "items.csv.rejects.csv"


def test_leaves_no_rejects_of_an_earlier_load_behind(conn: Connection, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", "item_id,price", "pan,x")
    run(conn, items=file)
    (summary,) = run(conn, items=write_csv(file, "item_id,price", "pan,1")).files

    assert summary.rejects_file is None
    assert sorted(tmp_path.iterdir()) == [file]


def test_loads_nothing_of_any_file_when_one_has_too_many_bad_rows(
    conn: Connection, tmp_path: Path
) -> None:
    items = write_csv(tmp_path / "items.csv", "item_id", "pan")
    users = write_csv(tmp_path / "users.csv", "user_id,created_at", "ann,now", "bob,2024-01-01")

    with pytest.raises(DataRejected, match=r'1 of 2 .* 1 × created_at .*line 2: "now"'):
        load_with(conn, LoadConfig(), items=items, users=users)
    assert everything(conn) == [[], [], []]
    assert rejects_of(users)[1][0] == "2"


def test_loads_when_exactly_the_allowed_share_is_bad(conn: Connection, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", "item_id,price", *(f"i{n},1" for n in range(9)), "x,y")
    assert counts(load_with(conn, LoadConfig(max_reject_share=0.1), items=file)).new == 9


def test_says_when_rejects_cannot_be_written(conn: Connection, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", "item_id,price", "pan,x")
    (tmp_path / "a.csv.rejects.csv").mkdir()

    with pytest.raises(DataRejected, match=r"cannot write a.csv.rejects.csv next to it"):
        run(conn, items=file)


def test_names_the_missing_column_and_those_found(conn: Connection, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", "user_id,item,when", "ann,pan,1")

    with pytest.raises(DataRejected, match=r"no column 'item_id'; .* user_id, item, when"):
        run(conn, interactions=file)


@pytest.mark.parametrize(("sign", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_says_that_cells_are_separated_by_commas(
    conn: Connection, tmp_path: Path, sign: str, name: str
) -> None:
    file = write_csv(tmp_path / "a.csv", f"item_id{sign}title, short", f"pan{sign}Pan")

    with pytest.raises(DataRejected, match=f"has {name} between its names"):
        run(conn, items=file)


def test_creates_the_schema_in_an_empty_database(bare_database_url: str, tmp_path: Path) -> None:
    with connect(bare_database_url) as conn:
        summary = run(conn, items=write_csv(tmp_path / "a.csv", "item_id", "pan"))
    assert counts(summary).new == 1


def test_refuses_a_database_of_another_version(conn: Connection, tmp_path: Path) -> None:
    conn.execute("UPDATE recserve_schema SET version = 7")

    with pytest.raises(SchemaMismatch):
        run(conn, items=write_csv(tmp_path / "a.csv", "item_id", "pan"))


def test_tells_how_far_it_is(conn: Connection, tmp_path: Path) -> None:
    told: list[tuple[Path, float]] = []
    file = write_csv(tmp_path / "a.csv", "item_id", *(f"i{n}" for n in range(50_000)))
    load(
        conn,
        InputFiles(items=file),
        LoadConfig(),
        lambda *step: told.append(step),
        now_at=NOW_AT,
    )

    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] == 1.0


LOAD_AND_TELL_PEAK = """
import sys
from pathlib import Path
from serve_app.loading.load import LoadConfig, InputFiles, load
from serve_app.database.schema import connect

def peak_kb():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])

url, few, many = sys.argv[1:]
with connect(url) as conn:
    peaks = []
    for file in (few, many):
        files = InputFiles(interactions=Path(file))
        load(conn, files, LoadConfig(), lambda file, share: None, now_at=1.75e9)
        peaks.append(peak_kb())
print(peaks[1] - peaks[0])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_memory_does_not_grow_with_the_file(database_url: str, tmp_path: Path) -> None:
    def write(name: str, n: int) -> Path:
        lines = (f"user-{i % 5_000},item-{i % 700},{1.6e9 + i},view" for i in range(n))
        return write_csv(tmp_path / name, "user_id,item_id,timestamp,type", *lines)

    told = subprocess.run(
        [
            *(sys.executable, "-c", LOAD_AND_TELL_PEAK, database_url),
            *(write("few.csv", 40_000), write("many.csv", 200_000)),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    # Held in memory, the 160,000 more rows would take over 100 MB.
    assert int(told.stdout) < 30_000

    with connect(database_url) as conn:
        assert values(conn, "SELECT count(*) FROM interactions") == [200_000]
