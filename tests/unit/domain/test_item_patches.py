import numpy as np

from serve_app.arrays.columns import Texts
from serve_app.domain.item_patches import ChangedNames, ItemNames
from tests.support.small_world import small_world

CATALOGUE = small_world().fitted.catalogue


def test_names_are_those_of_the_catalogue_where_nothing_changed():
    names = ItemNames.of(CATALOGUE)

    assert names.titles.at(3) == CATALOGUE.titles.at(3)
    assert names.categories.at(0) == CATALOGUE.categories.vocabulary.at(0)


def test_changed_names_and_new_categories_take_precedence():
    changed = ChangedNames(
        np.array([2, 5], np.int32),
        Texts.of([CATALOGUE.item_ids.at(2), "new"]),
        Texts.of(["Two", "Five"]),
        Texts.of(["hats"]),
    )

    names = ItemNames.of(CATALOGUE, changed)

    assert names.titles.take([2, 3, 5]) == ["Two", CATALOGUE.titles.at(3), "Five"]
    assert names.item_ids.at(5) == "new"
    assert names.categories.at(CATALOGUE.categories.n_words) == "hats"
