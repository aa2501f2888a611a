import pytest

from serve_app.fitting.judging.lacks import WindowFacts, describe_lack, facts_of
from tests.unit.fitting.judging.test_window_results import measured

ENOUGH = WindowFacts(n_users=1_000, known=0.9, found=0.6)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            ENOUGH._replace(known=0.03),
            "only 3 % of the 1,000 users of the latest window had a click before",
        ),
        (
            ENOUGH._replace(n_users=35),
            "only 35 users did something new that counts in the latest window",
        ),
        (
            ENOUGH._replace(found=0.08),
            "only 8 % of the items that users of the latest window wanted were among their"
            " candidates",
        ),
    ],
    ids=["histories", "users", "candidates"],
)
def test_names_what_is_missing(facts, said):
    assert describe_lack(facts, "click") == said


def test_names_what_is_missing_most():
    assert describe_lack(WindowFacts(150, 0.05, 0.25), "view").startswith("only 5 % of the 150")
    assert describe_lack(WindowFacts(20, 0.4, 0.25), "view").startswith("only 20 users")


def test_says_so_where_nothing_is_missing():
    assert describe_lack(ENOUGH, "purchase") == (
        "nothing stands out in the latest window, where 90 % of 1,000 users had a purchase before"
        " and 60 % of the wanted items were candidates"
    )


def test_facts_are_measured_in_the_window():
    results = measured()

    facts = facts_of(results)

    assert facts.n_users == len(results)
    assert facts.known == pytest.approx((results.n_past > 0).sum() / len(results))
    assert facts.found == pytest.approx((results.n_found / results.n_relevant).mean())
