"""Reconstructs what was known at a moment of the past, and makes training examples of it.

Nothing that happened after the moment may enter.
"""
