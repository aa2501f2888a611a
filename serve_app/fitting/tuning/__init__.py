"""Chooses the settings of the sources on the outcomes of a window.

Chooses only what the configuration leaves open.
"""
