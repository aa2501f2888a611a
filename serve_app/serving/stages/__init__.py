"""The four stages: plain classes with async methods on batches.

They hold clients, tables or a model. The computation is in ``domain``.
"""
