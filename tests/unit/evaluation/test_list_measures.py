from itertools import combinations
from math import log2

import numpy as np
import pytest

from serve_app.arrays.columns import MISSING
from serve_app.arrays.ragged import owners
from serve_app.evaluation.best_lists import best_items
from serve_app.evaluation.list_measures import measure_lists
from serve_app.evaluation.protocol import ProtocolConfig, split_at_share
from tests.support.hand_made_logs import demo_shop


def second_implementation(ranked, wanted, training, k):
    """The measures of one user's list, in plain Python."""
    top = [item for item in ranked[:k] if item != MISSING]
    ranks = [rank for rank, item in enumerate(top, 1) if item in wanted]
    ideal = sum(1 / log2(rank + 1) for rank in range(1, min(k, len(wanted)) + 1))
    dense = training.matrix.toarray()
    owners = (dense > 0).sum(axis=0)
    columns = dense / np.linalg.norm(dense, axis=0)
    pairs = [1 - columns[:, a] @ columns[:, b] for a, b in combinations(top, 2)]
    return {
        "ndcg": sum(1 / log2(rank + 1) for rank in ranks) / ideal,
        "recall": len(ranks) / min(k, len(wanted)),
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "hit_rate": float(bool(ranks)),
        "novelty": np.mean([-log2(owners[item] / len(dense)) for item in top]),
        "diversity": np.mean(pairs),
    }


@pytest.mark.parametrize("k", [2, 10, 20])
def test_a_second_implementation_finds_the_same_measures(k):
    split = split_at_share(demo_shop()[2], ProtocolConfig(max_users=40))
    rng = np.random.default_rng(3)
    scores = rng.random((split.training.n_users, split.training.n_items))
    scores[split.users[owners(split.wanted.offsets)], split.wanted.items] += 0.2
    lists = best_items(lambda users: scores[users], split, 20)
    measures = measure_lists(lists, split, (k,))

    for i, ranked in enumerate(lists.tolist()):
        start, stop = split.wanted.offsets[i : i + 2]
        wanted = set(split.wanted.items[start:stop].tolist())
        for name, value in second_implementation(ranked, wanted, split.training, k).items():
            assert measures[f"{name}@{k}"][i] == pytest.approx(value, abs=1e-5), name
    assert measures[f"hit_rate@{k}"].any()
