"""The HTTP contract: routes, bodies, errors, limits.

The only folder that knows FastAPI.
"""
