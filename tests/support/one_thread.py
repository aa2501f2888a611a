"""Gives tests the variables that keep numpy, scipy and XGBoost to one thread a process."""

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""The libraries read them once, when they are imported."""
