"""Names the seed service's application, for starting it without importing it."""

APP = "benchmarks.seed_service.app:app"

ROUTE = "SEED_ROUTE"
"""Variable with the kind of route: ``def`` runs in threads, ``async`` on the event loop."""
