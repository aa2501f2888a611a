"""The HTTP ingress: routes, bodies, errors, limits.

The only folder that knows FastAPI. It decides nothing about answers: see ``serving``.
"""
