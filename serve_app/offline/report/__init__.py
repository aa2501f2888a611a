"""The report of a fit: what was measured, what was decided, and plots of both."""
