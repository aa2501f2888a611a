"""Starts PostgreSQL and Redis from Python wheels where no URLs of stores are set.

Knows processes, sockets and folders. Knows nothing about the data in the stores.
"""
