"""Publishes, opens, verifies and follows bundles, and records which version is served.

A bundle is everything that one fit publishes, an immutable folder of files. Fits nothing.
"""
