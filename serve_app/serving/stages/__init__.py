"""The four stages: plain classes with async methods on batches.

They hold clients, tables or a model, and a thread for long computations, which are in ``domain``.
"""
