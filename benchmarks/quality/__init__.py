"""Measures the quality of recserve's lists against rivals: `python -m benchmarks.quality`."""
