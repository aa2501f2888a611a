"""The models that recommendations are compared with."""

from serve_app.evaluation.baselines import (
    als,
    ease,
    item_knn,
    popularity,
    rp3beta,
    user_knn,
)

MODELS = (
    popularity.POPULARITY,
    popularity.DECAYED_POPULARITY,
    user_knn.USER_KNN,
    item_knn.COSINE,
    item_knn.BM25,
    rp3beta.RP3BETA,
    als.ALS,
    ease.EASE,
    user_knn.USER_KNN_TIME,
    rp3beta.RP3BETA_TIME,
    ease.EASE_TIME,
)

FUSED_SOURCES = ("decayed_popularity", "user_knn_time", "rp3beta_time", "ease_time")
"""What reciprocal rank fusion joins."""
