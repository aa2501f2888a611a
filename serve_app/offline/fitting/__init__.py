"""The fit as named steps, each of which leaves its results on the disk."""
