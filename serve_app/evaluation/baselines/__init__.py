"""The models that recommendations are compared with, one module per family.

Each learns from a matrix of users and items, and knows nothing else.
"""
