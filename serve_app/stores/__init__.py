"""Reads and writes PostgreSQL and Redis.

Decides nothing about recommendations. Other folders open no connection, except the readiness checks
of ``embedded``.
"""
