"""Measures speed and quality: `make bench`, `make quality`, `python -m benchmarks --help`."""
