"""Merges several boosters into one whose margins are their average, or another weighted sum."""

from collections.abc import Sequence

from serve_app.fitting.training.booster_documents import (
    Document,
    Tree,
    booster_of,
    document_of,
    trees_of,
)


def average_boosters(models: Sequence[bytes], weights: Sequence[float] | None = None) -> bytes:
    """Makes one booster of the trees of all, whose leaves are multiplied by the weights.

    Objective and base score are those of the last model. If base scores differ, the margins differ
    from the mean by a constant, which changes no order.

    Args:
        models: of equal features, in XGBoost's binary form (UBJSON).
        weights: above 0; equal ones with a sum of 1 without it.
    """
    if len(models) == 1:
        return models[0]
    documents = [document_of(model) for model in models]
    # A division by a whole number is exact where a product with its inverse is rounded.
    divisors = [len(models)] * len(models) if weights is None else [1 / each for each in weights]
    trees = [
        tree
        for document, divisor in zip(documents, divisors, strict=True)
        for tree in _scaled_trees(document, divisor)
    ]
    return booster_of(documents[-1], trees)


def _scaled_trees(document: Document, divisor: float) -> list[Tree]:
    """Divides leaves by the divisor, and gains by the total gain of the model."""
    trees = trees_of(document)
    # Gains of different objectives have different units; shares of the total can be added up.
    total_gain = sum(sum(tree["loss_changes"]) for tree in trees) or 1.0
    return [
        {
            **tree,
            "loss_changes": [gain / total_gain for gain in tree["loss_changes"]],
            # XGBoost stores the value of a leaf where an inner node has its threshold.
            "split_conditions": [
                value / divisor if child < 0 else value
                for value, child in zip(
                    tree["split_conditions"], tree["left_children"], strict=True
                )
            ],
        }
        for tree in trees
    ]
