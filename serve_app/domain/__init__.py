"""Holds what every part of recserve speaks about: items, interactions, filters, batches.

No clock, no environment, no file, no network, no Ray. Makes no recommendation.
"""
