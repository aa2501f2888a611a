"""Compares the served system with other models on a shop's files: ``recserve evaluate``.

Needs no server and no database.
"""
