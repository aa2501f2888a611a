"""Turns candidates into scores: the features of the model, and the walk through its trees.

Reads no bundle: models arrive as bytes.
"""
