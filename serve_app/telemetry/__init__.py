"""Counts and times what a replica does, and exports it.

Must never fail or slow down an answer.
"""
