"""Starts PostgreSQL and Redis from Python wheels for whoever has set no URLs.

Knows processes, sockets and folders. Knows nothing about the data in them.
"""
