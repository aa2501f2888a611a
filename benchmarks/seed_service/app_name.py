"""How the seed's service is started, without importing it."""

APP = "benchmarks.seed_service.app:app"

ROUTE = "SEED_ROUTE"
"""``def`` runs in a pool of threads, ``async`` on the event loop: which is better is measured."""
