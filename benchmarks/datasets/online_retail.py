"""Converts the UCI data set "Online Retail" to files for ``recserve load``.

    python benchmarks/datasets/online_retail.py SOURCE.parquet OUT_DIR

Data: D. Chen, "Online Retail", UCI Machine Learning Repository, data set 352, 2015, CC BY 4.0.
"""

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.datasets.published import read_published
from serve_app.errors import OperatorError

COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
PRODUCT = r"\d{5}[A-Za-z]*"

CATEGORY_RULES = """
christmas: christmas, xmas, advent, santa, reindeer, snowm[ae]n, snowflake, bauble, noel
hot water bottles: hot water bottle, (hand|pocket|mug) warmer
lunch and picnic: lunch, picnic, snack, (water|drinking) bottle, flask, cool(er)? bag
candles: t-?light, candle, candlestick, candlepot, candelabra, lantern, incense
jewellery: necklace?, neckl, brace?let, earring, ring, bangle, brooch, charm, hair, pendant
jewellery: bead, beaded, diamante, anklet, tiara, hairclip, slide, bling, trinket, jewellery
magnets: magnet
signs: sign, blackboard, black board, chalkboard, noticeboard, memo ?board, plaque
cards and wrap: cards?(holder)?, gift ?wrap, wrap, ribbon, envelope, postcard, gift tag, tissue
baking: cake ?case, cake, baking, cakestand, cookie, cupcake, muffin, jelly, rolling pin
bags and purses: bag, handbag, purse, shopper, tote, satchel, wallet, luggage, suitcase
easter: easter, bunny, bunnie, chick, chicken, hen, egg
stationery: notebook, pen, pencil, sticker, eraser, rubber, book, sketchbook, tape, stamp
stationery: journal, diary, chalk, crayon, calculator, scissor, organi[sz]er, clip, passport
umbrellas and rain: umbrella, poncho, rain, wellington
home textiles: cushion, quilt, blanket, throw, doormat, rug, curtain, bedspread, mat, pouffe
cups and mugs: mug, cup, tea, teacup, teapot, teatime, coffee, goblet, tumbler, beaker, latte
cups and mugs: (wine|champagne|shot|drinking) glass
tableware: bowl, plate, dish, jug, cutlery, napkin, coaster, tray, placemat, straw, spoon
tableware: fork, knife, saucer, platter, doil(e?y|ie), tablecloth, milk, butter, serving
kitchen: kitchen, apron, tea ?towel, oven, recipe, scales?, sieve, colander, pan, jam, jar
kitchen: tin, food, bread, spice, salt, pepper, measuring, timer, mould, whisk, bottle
toys and crafts: toy, jigsaw, doll, game, puzzle, skittle, skipping, teddy, domino, playhouse
toys and crafts: craft, feltcraft, kit, sew, sewing, knitting, paint, drawing, spinning, glider
toys and crafts: ball, helicopter, whistle, robot, harmonica, snap, ludo, bingo, rocket, puppet
party: party, bunting, birthday, balloon, garland, confetti, paper ?chain, lei, bubble, fan
frames and clocks: clock, frame, mirror, picture, photo, wall art, poster, canvas, print
hooks and knobs: hook, knob, hanger, key ?ring, key ?chain, doorstop, peg, handle
storage: box, boxe, basket, drawer, cabinet, storage, rack, shelf, crate, chest, hamper, stand
lights: light, lamp, lampshade, torch, led, chandelier
bath and beauty: soap, bath, bathroom, toilet, sponge, perfume, towel, flannel, powder
garden: garden, plant, planter, parasol, watering, bird, herb, pot, seed, trowel, bulb, bucket
garden: windmill, gnome, outdoor, flower, deckchair, chair, hammock, insect, feeder
decorations: decoration, decorative, heart, wreath, hanging, star, ornament, chime, mobile
decorations: tree, figurine, statue, cherub, angel, bell, feather, tile, block, letter, word
"""
"""Category and patterns of whole words, singular or plural; the first matching line counts."""

OTHER = "other"

_SMALL_WORDS = re.compile("a|and|at|by|for|from|in|of|on|or|the|to|with")
_CAPITALS = re.compile("cd|uk|usa|led|dvd")
_COMMON_TAG_ITEMS = 20


@dataclass(frozen=True, slots=True)
class Converted:
    """The three tables, and the steps that made them with counts."""

    items: pd.DataFrame
    users: pd.DataFrame
    interactions: pd.DataFrame
    steps: tuple[str, ...]


def _rule(line: str) -> tuple[str, re.Pattern[str]]:
    category, _, words = line.partition(": ")
    return category, re.compile(rf"\b(?:{words.replace(', ', '|')})(?:e?s)?\b")


_RULES = tuple(map(_rule, CATEGORY_RULES.strip().splitlines()))


def category_of(title: str) -> str:
    """Category of a title by its words, or ``OTHER``."""
    text = title.lower()
    return next((category for category, words in _RULES if words.search(text)), OTHER)


def readable(description: str) -> str:
    """Convert a till's capitals to a title such as "White Hanging Heart T-Light Holder"."""
    words = re.sub(r"\s*,\s*", ", ", description).strip(" ,.").split()
    return " ".join(_cased(word.lower(), first=place == 0) for place, word in enumerate(words))


def _cased(word: str, *, first: bool) -> str:
    if _SMALL_WORDS.fullmatch(word) and not first:
        return word
    # A letter after a digit or an apostrophe is part of a unit or an ending: 60cm, children's.
    return re.sub(
        r"(?<![\w'])[^\W\d_]+",
        lambda part: part[0].upper() if _CAPITALS.fullmatch(part[0]) else part[0].capitalize(),
        word,
    )


def read_source(source: Path) -> pd.DataFrame:
    """The lines as published.

    Raises:
        DataRejected: the file is missing, is no Parquet, or has not the columns.
    """
    lines = read_published(source, COLUMNS)
    # Ids may be numbers in the file; user ids are floats if some are missing.
    ids = lines[["InvoiceNo", "StockCode"]].astype(str)
    return lines.assign(**ids, CustomerID=lines["CustomerID"].astype("Int64"))


def convert(lines: pd.DataFrame) -> Converted:
    """Make items, users and purchases from the lines, without cancelled purchases."""
    line_numbers = lines.groupby("InvoiceNo").cumcount() + 1
    lines = lines.assign(event_id=lines["InvoiceNo"] + "-" + line_numbers.astype(str))
    products = lines[lines["StockCode"].str.fullmatch(PRODUCT)]
    is_cancellation = products["InvoiceNo"].str.startswith("C")
    cancellations = products[is_cancellation & (products["Quantity"] < 0)]
    sales = products[~is_cancellation & (products["Quantity"] > 0) & (products["UnitPrice"] > 0)]
    sales = sales.sort_values(["InvoiceDate", "event_id"], kind="stable")
    known = sales[sales["CustomerID"].notna()]
    kept = take_back(known, cancellations[cancellations["CustomerID"].notna()])
    steps = (
        _counted("lines in the source", lines),
        _counted("of products", products),
        _counted("sales (no cancellation, quantity and price above 0)", sales),
        _counted("of known users", known),
        _counted("left when cancellations are taken back", kept),
    )
    items = items_of(sales[sales["StockCode"].isin(known["StockCode"])])
    return Converted(items, users_of(known), interactions_of(kept), steps)


def take_back(sales: pd.DataFrame, cancellations: pd.DataFrame) -> pd.DataFrame:
    """Reduces the user's earlier purchases of a cancelled item, latest first.

    A cancellation beyond them is left alone: the item was bought before the data begins.

    Args:
        sales: oldest first.
    """
    pair = ["CustomerID", "StockCode"]
    wanted = set(cancellations[pair].itertuples(index=False, name=None))
    places = defaultdict(list)
    for place, key in enumerate(sales[pair].itertuples(index=False, name=None)):
        if key in wanted:
            places[key].append(place)

    quantities = sales["Quantity"].to_numpy(np.int64, copy=True)
    sold_at = sales["InvoiceDate"].tolist()
    ordered = cancellations.sort_values(["InvoiceDate", "event_id"], kind="stable")
    for user, item, at, quantity in ordered[[*pair, "InvoiceDate", "Quantity"]].itertuples(
        index=False, name=None
    ):
        left = -quantity
        for place in reversed(places[user, item]):
            if sold_at[place] <= at:
                taken = min(left, quantities[place])
                quantities[place] -= taken
                left -= taken
    return sales.assign(Quantity=quantities)[quantities > 0]


def items_of(sales: pd.DataFrame) -> pd.DataFrame:
    """One row per item; the price is the median of its last month with sales."""
    spellings = sales["Description"].str.split().str.join(" ")
    titles = spellings.groupby(sales["StockCode"]).agg(_most_common).map(readable)
    months = sales["InvoiceDate"].dt.to_period("M")
    is_recent = months == months.groupby(sales["StockCode"]).transform("max")
    prices = sales[is_recent].groupby("StockCode")["UnitPrice"].median()
    items = pd.DataFrame(
        {
            "title": titles,
            "category": titles.map(category_of),
            "price": prices.round(2),
            "tags": _tags_of(titles),
            "created_at": sales.groupby("StockCode")["InvoiceDate"].min().dt.tz_localize("UTC"),
        }
    )
    items["family"] = items.index.str[:5]
    return items.rename_axis("item_id").reset_index()


def _most_common(spellings: pd.Series) -> str:
    return str(spellings.mode().iloc[0])


def _tags_of(titles: pd.Series) -> pd.Series:
    """Words of each title that many titles share: colours, designs, materials."""
    words = titles.str.lower().str.findall(r"[a-z][a-z-]{2,}").map(set)
    n_titles = words.explode().value_counts()
    frequent = n_titles.index[n_titles >= _COMMON_TAG_ITEMS]
    common = {word for word in frequent if not _SMALL_WORDS.fullmatch(word)}
    return words.map(lambda of_title: sorted(of_title & common))


def users_of(sales: pd.DataFrame) -> pd.DataFrame:
    """One row per user, with the first purchase and the latest country."""
    by_user = sales.groupby(sales["CustomerID"].astype(str))
    users = pd.DataFrame(
        {
            "created_at": by_user["InvoiceDate"].min().dt.tz_localize("UTC"),
            "country": by_user["Country"].last(),
        }
    )
    return users.rename_axis("user_id").reset_index()


def interactions_of(sales: pd.DataFrame) -> pd.DataFrame:
    """One purchase per line, oldest first."""
    return pd.DataFrame(
        {
            "event_id": sales["event_id"],
            "user_id": sales["CustomerID"].astype(str),
            "item_id": sales["StockCode"],
            "timestamp": sales["InvoiceDate"].dt.tz_localize("UTC"),
            "type": "purchase",
            "value": sales["Quantity"].astype(float),
            "session_id": sales["InvoiceNo"],
        }
    ).reset_index(drop=True)


def write(converted: Converted, folder: Path) -> None:
    """Write three Parquet files; each appears complete or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("items", "users", "interactions"):
        table: pd.DataFrame = getattr(converted, name)
        unfinished = folder / f".{name}.parquet.unfinished"
        table.to_parquet(unfinished, index=False, compression="zstd")
        unfinished.replace(folder / f"{name}.parquet")


def _counted(what: str, lines: pd.DataFrame) -> str:
    users, items = lines["CustomerID"].nunique(), lines["StockCode"].nunique()
    return f"{len(lines):>9,} lines  {users:>6,} users  {items:>6,} items  {what}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, help="the table as one Parquet file")
    parser.add_argument("out_dir", type=Path, help="folder for items, users and interactions")
    given = parser.parse_args(arguments)
    try:
        converted = convert(read_source(given.source))
    except OperatorError as failure:
        sys.exit(f"error: {failure}")
    write(converted, given.out_dir)
    print("\n".join(converted.steps))
    shares = converted.items["category"].value_counts(normalize=True)
    print(f"{len(shares)} categories; no words for {shares.get(OTHER, 0.0):.1%} of the items")
    print(f"written to {given.out_dir}: items, users and interactions (.parquet)")


if __name__ == "__main__":
    main()
