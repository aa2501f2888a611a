"""Reads users and items for the graph: Redis first, then PostgreSQL; and checks both stores.

Decides nothing about recommendations. Contains no SQL: see ``database``.
"""
