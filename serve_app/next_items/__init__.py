"""Compares the served system with other models on next items: ``recserve evaluate --next``.

Shares the served system with ``evaluation``, and knows nothing of its split of users. Needs no
server and no database.
"""
