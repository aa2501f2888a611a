"""Turns scores into the ordered answer: diversity, and a reason for each item.

Adds no candidate.
"""
