"""The sources of candidates, one module each.

A source offers rows in its own order. Merging them is the task of ``fusion``.
"""
