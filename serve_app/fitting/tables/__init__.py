"""Fits the tables that the sources look up candidates in.

Sees the past of one moment, as its arguments give it.
"""
