"""Fits textbook models and their time-aware forms: the rivals of the served system.

Each module defines ``Rival`` records. Knows the training matrix, not the test period.
"""
