"""Finds the items that are worth a score, and says what is known about each.

Asks the sources. Calls no model.
"""
