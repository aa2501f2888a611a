"""Watches what answers depend on, for health and for metrics: stores, fits, the catalogue.

Answers nothing: a watch that fails changes no list.
"""
