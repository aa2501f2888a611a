"""Tests loading files into a real PostgreSQL."""

import csv
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serve_app.errors import DataRejected, SchemaMismatch
from serve_app.loading.load import InputFiles, LoadConfig, LoadSummary, load
from serve_app.stores.postgres.bulk_load import MergeCounts
from serve_app.stores.postgres.schema import Connection, connect

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

    assert counts(run(conn, interactions=file)) == MergeCounts(1, 0, 0, repeated=1)
    assert counts(run(conn, interactions=later)) == MergeCounts(0, 0, unchanged=1, repeated=0)
    assert values(conn, "SELECT value FROM interactions") == [1.0]


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
        ["line", "reason"],
        ["5", "item_id is empty"],
        ["6", "price is not a number"],
        ["7", "the row has 2 cells, the header 3"],
        ["8", "price is negative"],
        ["10", "price is negative"],
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

    with pytest.raises(DataRejected, match=r"1 of 2 rows are bad, at most 10% .* 1 × created_at"):
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
from serve_app.stores.postgres.schema import connect

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
