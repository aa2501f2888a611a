"""Measures recommendation lists: formulas, confidence intervals, comparisons of two models.

Works on arrays. Reads no file, no store and no clock.
"""
