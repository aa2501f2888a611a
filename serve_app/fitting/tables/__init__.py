"""Fits the tables that the sources of candidates look things up in.

Sees only what it is given: the past of one moment.
"""
