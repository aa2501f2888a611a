"""Keeps the results of steps on disk, and computes their parts here or on a cluster.

Knows nothing about the meaning of the results.
"""
