import numpy as np
import pytest

from serve_app.next_items.next_rivals.popularities import CATEGORY_POPULARITY, NEXT_POPULARITY
from tests.support.visits import known_items, scores_of, side


def counts(half_life_days):
    training = side().training
    found = np.zeros(training.n_items)
    for item, age in zip(training.items, training.ages_days, strict=True):
        found[item] += 0.5 ** (age / half_life_days)
    return found / found.sum()


def test_popularity_halves_with_age_and_is_the_same_for_all_questions():
    scores = scores_of(NEXT_POPULARITY, {"half_life_days": 3.0})

    assert len(scores) == len(side().split.questions)
    for row in scores:
        np.testing.assert_allclose(row, counts(3.0))


@pytest.mark.parametrize("unit", ["session", "user"])
@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_popularity_of_categories_follows_the_known_items(unit, decay):
    scores = scores_of(
        CATEGORY_POPULARITY, {"half_life_days": 7.0, "mix": 0.9, "decay": decay, "unit": unit}
    )
    shares, categories = counts(7.0), side().training.categories
    for row, known in zip(scores, known_items(unit), strict=True):
        of_category = np.zeros(3)
        for back, item in enumerate(known):
            of_category[categories[item]] += decay**back
        if known:
            of_category /= of_category.sum()
        for item, share in enumerate(shares):
            within = share / shares[categories == categories[item]].sum()
            expected = 0.9 * of_category[categories[item]] * within + 0.1 * share
            assert row[item] == pytest.approx(expected, abs=1e-3)
