"""Trains the models that score candidates.

Takes a matrix of examples. Knows neither store nor catalogue.
"""
