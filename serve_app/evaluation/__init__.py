"""Compares what would be served with other models: ``recserve evaluate``.

Needs no server and no database.
"""
