"""Computes lists of recommendations, in numpy.

No clock, no environment, no network, no Ray. Reads no file, except that ``scoring`` loads the
compiled C library of the package.
"""
