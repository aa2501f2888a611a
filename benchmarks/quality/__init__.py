"""The quality table: our lists against other models, on real and on simulated data."""
