"""Computes lists of recommendations, in numpy.

No clock, no environment, no file, no network, no Ray.
"""
