from serve_app.evaluation.training_matrix import combinations, grouped


def test_grids_change_their_last_parameter_fastest():
    grid = combinations(a=(1, 2), b=(3, 4))

    assert [tuple(point.values()) for point in grid] == [(1, 3), (1, 4), (2, 3), (2, 4)]
    assert [(shared, len(members)) for shared, members in grouped(grid, "b")] == [
        ({"a": 1}, 2),
        ({"a": 2}, 2),
    ]
