"""recserve: a recommendation system that serves, learns and is operated as one Ray application."""

__version__ = "0.1.0"
