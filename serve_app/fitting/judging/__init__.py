"""Measures a fit and decides if it may be served.

Changes nothing that was fitted.
"""
