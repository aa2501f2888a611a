"""Turns the filter of a request into the items that it allows.

Decides which items may be shown, and nothing about their order.
"""
