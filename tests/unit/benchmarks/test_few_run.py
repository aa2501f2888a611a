from benchmarks.quality.few_run import FEW, few_sections, few_users, make_purchases


def results(*ours):
    return {FEW: {"shop": [{"ours": each, "best": "als", "ndcg": 0.4} for each in ours]}}


def test_equal_seeds_make_equal_shops():
    assert make_purchases(30, 1).equals(make_purchases(30, 1))
    assert not make_purchases(30, 1).equals(make_purchases(30, 2))


def test_nobody_buys_an_item_twice():
    shop = make_purchases(30, 1).to_pandas()
    assert not shop.duplicated(["user_id", "item_id"]).any()


def test_the_goal_compares_means_over_the_seeds():
    assert few_users(results(0.3, 0.5)) == ("shop 1.00", True)
    assert few_users(results(0.3, 0.3)) == ("shop 0.75", False)


def test_the_section_names_the_best_models():
    assert "`als`" in str(few_sections(results(0.4))[0])
    assert few_sections({}) == []
