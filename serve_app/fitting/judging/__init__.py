"""Measures a fit and decides whether it may be served.

Changes nothing that was fitted.
"""
