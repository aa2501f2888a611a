"""Trains the models that score candidates.

Takes a matrix of examples. Knows no store and no catalogue.
"""
