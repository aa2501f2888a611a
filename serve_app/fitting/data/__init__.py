"""Prepares interactions and items for the fit: windows of time, labels, numbers.

Fits no table and no model.
"""
