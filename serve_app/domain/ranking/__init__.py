"""From scores to the ordered answer: diversity, and a reason for each item.

Adds no candidate.
"""
