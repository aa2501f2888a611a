"""The Online Retail converter, on a table small enough to check by hand."""

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.datasets.online_retail import (
    COLUMNS,
    OTHER,
    category_of,
    convert,
    main,
    read_source,
    readable,
)
from serve_app.errors import DataRejected

ANN, BOB = 17850, 13047
MUG, LAMP = "22059", "85123A"


def line(
    invoice: str,
    item: str = MUG,
    *,
    user: int | None = ANN,
    day: int = 1,
    quantity: int = 1,
    price: float = 2.5,
    title: str = "CERAMIC MUG",
) -> tuple[object, ...]:
    at = pd.Timestamp(2011, 3, day, 10, 30)
    return (invoice, item, title, quantity, at, price, user, "France")


def table(*lines: tuple[object, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(lines, columns=list(COLUMNS))
    return frame.astype({"CustomerID": "Int64"})


def quantities(*lines: tuple[object, ...]) -> dict[str, float]:
    interactions = convert(table(*lines)).interactions
    return dict(zip(interactions["event_id"], interactions["value"], strict=True))


def test_a_line_becomes_a_purchase_of_its_user_in_the_session_of_its_invoice() -> None:
    bought = convert(table(line("1", quantity=6), line("1", LAMP, day=1))).interactions

    assert bought.iloc[0].to_dict() == {
        "event_id": "1-1",
        "user_id": "17850",
        "item_id": MUG,
        "timestamp": pd.Timestamp("2011-03-01 10:30", tz="UTC"),
        "type": "purchase",
        "value": 6.0,
        "session_id": "1",
    }
    assert bought["event_id"].tolist() == ["1-1", "1-2"]


def test_postage_free_samples_and_anonymous_lines_are_no_interactions() -> None:
    kept = quantities(
        line("1"),
        line("1", "POST"),
        line("1", "15056BL"),
        line("1", "gift_0001_20"),
        line("2", price=0.0),
        line("3", quantity=-4),
        line("4", user=None),
    )

    assert kept == {"1-1": 1.0, "1-3": 1.0}


def test_a_full_cancellation_removes_the_purchase() -> None:
    kept = quantities(line("1", quantity=6), line("1", LAMP), line("C2", day=2, quantity=-6))

    assert kept == {"1-2": 1.0}


def test_a_partial_cancellation_reduces_the_latest_purchase_first() -> None:
    kept = quantities(
        line("1", day=1, quantity=6),
        line("2", day=2, quantity=4),
        line("C3", day=3, quantity=-5),
        line("4", day=4, quantity=3),
    )

    assert kept == {"1-1": 5.0, "4-1": 3.0}


def test_successive_cancellations_add_up() -> None:
    kept = quantities(
        line("1", quantity=6), line("C2", day=2, quantity=-2), line("C3", day=3, quantity=-3)
    )

    assert kept == {"1-1": 1.0}


def test_a_cancellation_does_not_change_other_users_other_items_or_later_purchases() -> None:
    kept = quantities(
        line("C1", day=1, quantity=-9),
        line("2", day=2),
        line("3", LAMP, day=2),
        line("4", day=2, user=BOB),
        line("C5", LAMP, day=3, quantity=-1, user=BOB),
    )

    assert kept == {"2-1": 1.0, "3-1": 1.0, "4-1": 1.0}


def test_the_title_is_the_most_common_spelling_of_all_sales() -> None:
    items = convert(
        table(
            line("1", title="CERAMIC  MUG "),
            line("2", title="ceramic beaker"),
            line("3", user=None, title="CERAMIC MUG"),
        )
    ).items

    assert items["title"].tolist() == ["Ceramic Mug"]


def test_the_price_is_the_median_of_the_last_month_with_a_sale() -> None:
    january = ("1", MUG, "MUG", 1, pd.Timestamp(2011, 1, 5), 9.0, ANN, "France")
    prices = (1.0, 2.0, 4.0)
    march = [line(str(place), price=price) for place, price in enumerate(prices, 2)]

    item = convert(table(january, *march)).items.iloc[0]

    assert item["price"] == 2.0
    assert item["created_at"] == pd.Timestamp("2011-01-05", tz="UTC")


def test_colours_of_one_design_share_a_family() -> None:
    items = convert(table(line("1", "15056BL"), line("1", "15056N"))).items

    assert items["item_id"].tolist() == ["15056BL", "15056N"]
    assert items["family"].tolist() == ["15056", "15056"]


def test_tags_are_the_words_that_many_titles_share() -> None:
    lines = [
        line("1", str(22_000 + n), title=f"MUG WITH SPOT {'ABCDE' * (n == 0)}") for n in range(20)
    ]

    tags = convert(table(*lines)).items["tags"]

    assert tags.iloc[0] == ["mug", "spot"]


def test_a_user_is_known_since_the_first_purchase() -> None:
    users = convert(table(line("2", day=9), line("1", day=4), line("3", user=BOB))).users

    assert users["user_id"].tolist() == ["13047", "17850"]
    assert users["created_at"].iloc[1] == pd.Timestamp("2011-03-04 10:30", tz="UTC")
    assert users["country"].tolist() == ["France", "France"]


@pytest.mark.parametrize(
    ("title", "category"),
    [
        ("Set of 6 Christmas T-Lights", "christmas"),
        ("White Hanging Heart T-Light Holder", "candles"),
        ("Lunch Bag Red Retrospot", "lunch and picnic"),
        ("Jumbo Bag Strawberry", "bags and purses"),
        ("Pack of 72 Retrospot Cake Cases", "baking"),
        ("Metal Sign Take It or Leave It", "signs"),
        ("Swallows Greeting Card", "cards and wrap"),
        ("Fruit Tree and Birds Wall Plaque", "signs"),
        ("Vintage Embossed Heart", "decorations"),
        ("Camphor Wood", OTHER),
        ("Handcarved Steambath", OTHER),
    ],
)
def test_the_words_of_a_title_give_its_category(title: str, category: str) -> None:
    assert category_of(title) == category


@pytest.mark.parametrize(
    ("description", "title"),
    [
        ("WHITE HANGING HEART T-LIGHT HOLDER", "White Hanging Heart T-Light Holder"),
        ("SET OF 3  CAKE TINS ", "Set of 3 Cake Tins"),
        ("CHILDREN'S APRON 60CM", "Children's Apron 60cm"),
        ("METAL SIGN,CUPCAKE", "Metal Sign, Cupcake"),
        ("IN A CD CASE", "In a CD Case"),
        ("WHITE/PINK MINI", "White/Pink Mini"),
    ],
)
def test_titles_lose_the_capitals_of_the_till(description: str, title: str) -> None:
    assert readable(description) == title


def test_refuses_a_missing_source(tmp_path: Path) -> None:
    with pytest.raises(DataRejected, match="there is no such file"):
        read_source(tmp_path / "nothing.parquet")


def test_refuses_a_source_that_is_not_parquet(tmp_path: Path) -> None:
    source = tmp_path / "source.parquet"
    source.write_text("InvoiceNo,StockCode\n")

    with pytest.raises(DataRejected, match="not a Parquet file"):
        read_source(source)


def test_names_the_missing_columns_of_the_source(tmp_path: Path) -> None:
    source = tmp_path / "source.parquet"
    table(line("1")).drop(columns=["Country", "UnitPrice"]).to_parquet(source)

    with pytest.raises(DataRejected, match="no column UnitPrice, Country"):
        read_source(source)


def test_the_command_ends_with_one_sentence_if_it_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="error: nothing was loaded from"):
        main([str(tmp_path / "nothing.parquet"), str(tmp_path)])


def test_the_command_writes_three_files_and_prints_the_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "source.parquet", tmp_path / "out"
    table(line("1", quantity=2), line("2", user=None), line("C3", day=2, quantity=-1)).to_parquet(
        source
    )

    main([str(source), str(out)])

    assert sorted(file.name for file in out.iterdir()) == [
        "interactions.parquet",
        "items.parquet",
        "users.parquet",
    ]
    assert pd.read_parquet(out / "interactions.parquet")["value"].tolist() == [1.0]
    printed = capsys.readouterr().out.split("\n")
    assert printed[0].split() == [
        "3",
        "lines",
        "1",
        "users",
        "1",
        "items",
        "lines",
        "in",
        "the",
        "source",
    ]
