"""Interactions and items as the fit sees them: windows of time, labels, numbers.

Fits nothing.
"""
