"""Runs fits for the configured application: once, again and again, measured.

What a fit computes is in ``fitting``.
"""
