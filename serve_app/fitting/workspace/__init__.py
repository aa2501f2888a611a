"""Where steps leave their results on disk, and where their parts are computed.

Knows nothing about what the results mean.
"""
