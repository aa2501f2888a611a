"""Lists the demo shop's categories: their words, prices, seasons and partners."""

from collections.abc import Mapping
from typing import NamedTuple

STYLES = (
    *("rustic", "modern", "vintage", "nordic", "floral"),
    *("industrial", "playful", "classic", "coastal", "bohemian"),
)


class Season(NamedTuple):
    """Demand over the year, as a multiple of a category's appeal.

    Attributes:
        peak_at: fraction of the year, in [0, 1).
        width: standard deviation of the peak, in years.
        rest: multiple far from the peak.
        peak: added at the peak.
    """

    peak_at: float
    width: float
    rest: float
    peak: float


OUT_OF_SEASON = "-"

SEASONS: Mapping[str, Season] = {
    OUT_OF_SEASON: Season(0.0, 1.0, 1.0, 0.0),
    "spring": Season(0.29, 0.06, 0.4, 3.0),
    "summer": Season(0.53, 0.07, 0.4, 3.0),
    "autumn": Season(0.78, 0.07, 0.6, 2.0),
    "christmas": Season(0.945, 0.04, 0.03, 8.0),
}

MATERIALS: Mapping[str, tuple[str, ...]] = {
    "kitchenware": ("oak", "ceramic", "steel", "glass", "enamel", "bamboo"),
    "blades": ("steel", "carbon steel", "copper", "ash-handled", "walnut-handled"),
    "textile": ("linen", "wool", "cotton", "velvet", "bamboo", "gingham"),
    "planter": ("zinc", "terracotta", "willow", "cedar", "copper", "stone"),
    "sowing": ("wildflower", "organic", "cottage", "woodland", "meadow"),
    "book": ("illustrated", "hardback", "paperback", "pocket", "annotated"),
    "scent": ("lavender", "cedar", "citrus", "rose", "oat", "sea salt"),
    "decor": ("brass", "walnut", "glass", "rattan", "marble", "ceramic"),
    "festive": ("felt", "glass", "paper", "pine", "silver", "gingham"),
    "toy": ("wooden", "cork", "felt", "cardboard", "beech"),
    "paper": ("recycled", "leather", "kraft", "marbled", "linen"),
    "pantry": ("organic", "fairtrade", "smoked", "spiced", "single-origin", "orange"),
    "bag": ("canvas", "leather", "waxed", "wicker", "recycled"),
}

BRANDS: Mapping[str, tuple[str, ...]] = {
    "kitchen": ("Alder & Finch", "Copperfold", "Hearthline", "Brasserie Nine", "Tamble"),
    "garden": ("Greenmantle", "Thistlewick", "Potting Lane", "Rookbarrow", "Mossfield"),
    "books": ("Inkwell Row", "Lantern Press", "Foxglove Books", "Harbour Street", "Quillon"),
    "home": ("Lumen & Loom", "Wrenhouse", "Ostlund Living", "Velmere", "Saltgrove"),
    "festive": ("Tinsel Works", "Frostholm", "Bellweather", "Paper Robin", "Evergild"),
    "toys": ("Little Badger", "Tumbletop", "Puzzlewood", "Bramble Bear", "Kitehill"),
    "stationery": ("Marginalia", "Dotted Line", "Foolscap", "Penhollow", "Paperwren"),
    "pantry": ("Larder Lane", "Kettle & Crumb", "Roastery Six", "Honeyfold", "Spicewright"),
    "bath": ("Fernwater", "Soapstone", "Tidewell", "Petal & Pine", "Meadowrinse"),
    "outdoors": ("Driftpack", "Cragside", "Waymark", "Puddle & Co", "Ambleway"),
}


class Category(NamedTuple):
    """A category of the demo shop: its words, price and demand.

    Attributes:
        made_of: a key of ``MATERIALS``.
        nouns: last words of the titles.
        price: median price.
        appeal: demand, relative to the other categories.
        goes_with: category of the items that are bought along.
        season: a key of ``SEASONS``.
        consumable: items are used up and bought again.
    """

    name: str
    department: str
    made_of: str
    nouns: tuple[str, ...]
    price: float
    appeal: float
    goes_with: str
    season: str
    consumable: bool


_NOUNS = """
cookware: frying pan, stock pot, casserole, wok
bakeware: loaf tin, cake tin, pie dish, muffin tray
knives: bread knife, paring knife, chef's knife
serveware: serving board, salad bowl, platter, jug
mugs: mug, espresso cup, tea bowl, travel cup
jars: storage jar, spice jar, biscuit tin, canister
linens: apron, tea towel, oven glove, napkin set
garden tools: hand fork, trowel, secateurs, dibber
pots: plant pot, planter, hanging basket, trough
seeds: seed box, bulb bag, herb kit
bird care: bird feeder, nest box, bird bath
bird food: seed mix, suet balls, peanut bag
garden seats: bench, stool, deck chair, swing
garden lights: lantern, festoon, path light
cookbooks: bread book, soup book, spice atlas, cake book
garden books: rose guide, allotment diary, bird guide
novels: mystery, saga, love story, ghost story
picture books: alphabet, bedtime tales, animal stories
travel guides: city guide, walking guide, rail atlas
cushions: cushion, bolster, floor cushion, seat pad
throws: throw, blanket, bedspread
candles: pillar candle, candle jar, tealight set
holders: candlestick, tealight holder, hurricane lamp
wall art: print, framed map, mirror, wall hanging
lamps: table lamp, desk lamp, pendant, floor lamp
clocks: wall clock, mantel clock, alarm clock
baubles: bauble, star, angel, garland
fairy lights: light chain, star light, light curtain
advent: advent calendar, stocking, wreath
building toys: block set, train set, marble run
puzzles: jigsaw, brain teaser, map puzzle
board games: word game, strategy game, card game
soft toys: bear, rabbit, fox, owl
notebooks: notebook, sketchbook, journal, diary
pens: fountain pen, brush set, pencil set
cards: birthday card, note set, postcard set
wrap: gift wrap, ribbon, gift tag set
coffee: coffee beans, ground coffee, espresso
tea: black tea, green tea, herb tea, chai
chocolate: chocolate bar, truffles, cocoa
spices: curry blend, pepper, salt, herb rub
soaps: soap bar, hand wash, shampoo bar
towels: bath towel, hand towel, bath mat
backpacks: backpack, tote bag, satchel
flasks: flask, water bottle, lunch box
picnic: picnic rug, hamper, cool bag
"""

_TABLE = """
cookware      | kitchen    | kitchenware | 45 | 1.2 | spices        | -         | once
bakeware      | kitchen    | kitchenware | 16 | 1.3 | jars          | -         | once
knives        | kitchen    | blades      | 38 | 0.7 | serveware     | -         | once
serveware     | kitchen    | kitchenware | 24 | 1.3 | linens        | -         | once
mugs          | kitchen    | kitchenware | 11 | 2   | coffee        | -         | once
jars          | kitchen    | kitchenware | 13 | 1.1 | tea           | -         | once
linens        | kitchen    | textile     | 15 | 1   | cookbooks     | -         | once
garden tools  | garden     | blades      | 19 | 0.9 | pots          | spring    | once
pots          | garden     | planter     | 17 | 1.1 | seeds         | spring    | once
seeds         | garden     | sowing      |  6 | 1.2 | garden tools  | spring    | again
bird care     | garden     | planter     | 21 | 0.7 | bird food     | autumn    | once
bird food     | garden     | sowing      |  9 | 0.8 | bird care     | autumn    | again
garden seats  | garden     | planter     | 95 | 0.4 | cushions      | summer    | once
garden lights | garden     | planter     | 27 | 0.6 | garden seats  | summer    | once
cookbooks     | books      | book        | 22 | 1.2 | bakeware      | -         | once
garden books  | books      | book        | 20 | 0.7 | garden tools  | -         | once
novels        | books      | book        | 10 | 1.8 | tea           | -         | once
picture books | books      | book        |  9 | 1.2 | soft toys     | -         | once
travel guides | books      | book        | 15 | 0.6 | backpacks     | summer    | once
cushions      | home       | textile     | 26 | 1.3 | throws        | -         | once
throws        | home       | textile     | 48 | 0.8 | candles       | autumn    | once
candles       | home       | scent       | 12 | 1.6 | holders       | autumn    | again
holders       | home       | decor       | 18 | 0.9 | candles       | -         | once
wall art      | home       | decor       | 34 | 0.9 | lamps         | -         | once
lamps         | home       | decor       | 72 | 0.6 | wall art      | -         | once
clocks        | home       | decor       | 36 | 0.5 | wall art      | -         | once
baubles       | festive    | festive     |  8 | 0.5 | fairy lights  | christmas | once
fairy lights  | festive    | festive     | 19 | 0.3 | baubles       | christmas | once
advent        | festive    | festive     | 18 | 0.2 | baubles       | christmas | once
building toys | toys       | toy         | 29 | 0.9 | picture books | -         | once
puzzles       | toys       | toy         | 15 | 0.9 | board games   | autumn    | once
board games   | toys       | toy         | 25 | 0.9 | puzzles       | christmas | once
soft toys     | toys       | textile     | 18 | 1   | picture books | -         | once
notebooks     | stationery | paper       | 12 | 1.2 | pens          | -         | once
pens          | stationery | paper       | 16 | 0.8 | notebooks     | -         | once
cards         | stationery | paper       |  4 | 1.4 | wrap          | -         | again
wrap          | stationery | paper       |  5 | 0.8 | cards         | christmas | again
coffee        | pantry     | pantry      | 11 | 1.6 | mugs          | -         | again
tea           | pantry     | pantry      |  8 | 1.5 | mugs          | -         | again
chocolate     | pantry     | pantry      |  7 | 1.6 | coffee        | -         | again
spices        | pantry     | pantry      |  6 | 1   | cookware      | -         | again
soaps         | bath       | scent       |  7 | 1.3 | towels        | -         | again
towels        | bath       | textile     | 22 | 0.8 | soaps         | -         | once
backpacks     | outdoors   | bag         | 58 | 0.8 | flasks        | -         | once
flasks        | outdoors   | kitchenware | 20 | 1   | picnic        | summer    | once
picnic        | outdoors   | bag         | 42 | 0.5 | flasks        | summer    | once
"""
"""Name, department, material, price, appeal, goes with, season, bought again or once."""


def _category(nouns: str, line: str) -> Category:
    name, department, made_of, price, appeal, goes_with, season, bought = (
        cell.strip() for cell in line.split("|")
    )
    words = tuple(nouns.removeprefix(f"{name}: ").split(", "))
    numbers = float(price), float(appeal)
    return Category(
        name, department, made_of, words, *numbers, goes_with, season, bought == "again"
    )


CATEGORIES = tuple(
    _category(nouns, line)
    for nouns, line in zip(_NOUNS.strip().splitlines(), _TABLE.strip().splitlines(), strict=True)
)
