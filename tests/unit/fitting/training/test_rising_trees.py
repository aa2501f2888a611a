import numpy as np
import pytest

from serve_app.fitting.training import booster_documents
from serve_app.fitting.training.boosting import parse_booster
from serve_app.fitting.training.rising_trees import N_STEPS, Gate, Rise, rising_booster
from serve_app.recommending.scoring.boosters import predict
from serve_app.recommending.scoring.trees import MAX_DEPTH, is_compiled, scores_of, trees_of

N_COLUMNS = 4
RISE = Rise(column=2, low=1.0, high=5.0, slope=3.0, centre=2.0)
STEP = (RISE.high - RISE.low) / N_STEPS


def rows(numbers, events=0.0):
    """Rows whose column 2 has the numbers, and whose column 0 the number of events."""
    matrix = np.full((len(numbers), N_COLUMNS), np.nan, np.float32)
    matrix[:, 0], matrix[:, 2] = events, numbers
    return matrix


def margins(matrix, rise=RISE, gate=None):
    return predict(parse_booster(rising_booster(rise, N_COLUMNS, gate)), matrix)


def test_rises_by_the_slope_from_the_centre():
    numbers = np.linspace(RISE.low, RISE.high, 1_000)

    expected = RISE.slope * (numbers - RISE.centre)
    assert margins(rows(numbers)) == pytest.approx(expected, abs=RISE.slope * STEP)


def test_stays_level_outside_of_the_limits():
    low, high = margins(rows([RISE.low, RISE.high]))

    assert margins(rows([-100.0, 100.0])) == pytest.approx([low, high])


def test_takes_a_missing_number_for_a_small_one():
    [missing, low] = margins(rows([np.nan, RISE.low]))

    assert missing == low


def test_has_distinct_scores_for_all_steps():
    middles = RISE.low + STEP * np.arange(N_STEPS + 1)

    assert (np.diff(margins(rows(middles))) > 0).all()


def test_gives_nothing_to_candidates_behind_the_gate():
    gate = Gate(column=0, below=0.5)
    numbers = np.linspace(RISE.low, RISE.high, 50)

    assert margins(rows(numbers, events=0.5), gate=gate) == pytest.approx(np.zeros(50))
    assert margins(rows(numbers, events=0.4), gate=gate) == pytest.approx(margins(rows(numbers)))


def test_is_level_where_all_numbers_are_equal():
    level = Rise(column=2, low=1.0, high=1.0, slope=3.0, centre=1.0)

    assert margins(rows([0.0, 1.0, 2.0]), level) == pytest.approx([0, 0, 0])


@pytest.mark.skipif(not is_compiled(), reason="there was no C compiler")
@pytest.mark.parametrize("gate", [None, Gate(column=0, below=0.5)])
@pytest.mark.parametrize("n", [1, 65, 513])
def test_xgboost_and_the_compiled_trees_agree_on_any_number_of_rows(gate, n):
    rng = np.random.default_rng(n)
    matrix = rows(rng.uniform(0, 6, n), rng.choice([0.0, 1.0], n))
    matrix[rng.random(n) < 0.2, 2] = np.nan
    booster = parse_booster(rising_booster(RISE, N_COLUMNS, gate))
    compiled = trees_of(booster.save_raw("json"))

    expected = scores_of(compiled, matrix)

    assert predict(booster, matrix) == pytest.approx(expected, abs=1e-5)
    one_by_one = [predict(booster, matrix[i : i + 1])[0] for i in range(min(n, 65))]
    assert one_by_one == pytest.approx(expected[:65].tolist(), abs=1e-5)


def test_right_children_follow_the_left_ones():
    booster = parse_booster(rising_booster(RISE, N_COLUMNS, Gate(0, 0.5)))
    [tree, *_] = booster_documents.trees_of(
        booster_documents.document_of(bytes(booster.save_raw("ubj")))
    )

    inner = [i for i, child in enumerate(tree["left_children"]) if child >= 0]
    assert len(inner) == 4
    assert all(tree["right_children"][i] == tree["left_children"][i] + 1 for i in inner)


def test_needs_no_deeper_trees_than_the_compiled_form_has():
    [tree] = parse_booster(rising_booster(RISE, N_COLUMNS, Gate(0, 0.5)))[:1].get_dump()

    # Every level of nodes begins with one more tab.
    assert max(line.count("\t") for line in tree.splitlines()) <= MAX_DEPTH
