"""Simulates shoppers with hidden tastes who visit a running service, and measures its lists.

The shoppers are those of the demo shop. Nothing here serves or fits: the service does.
"""
