"""Simulates a shop with users, items and interactions, to try everything on.

Writes files in the format of ``recserve load``. Imports nothing that serves or fits.
"""
