"""The stages: plain classes with async methods on batches.

They hold clients, tables or a model. ShopWriter writes, and the others make answers.
All but FeatureFetcher have a thread for long computations,
which are in ``recommending``.
"""
