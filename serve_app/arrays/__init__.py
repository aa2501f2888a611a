"""Arrays that belong together: columns, ragged lists, sums by key, units of time.

Knows nothing about recommendations. Imports no other folder of the package.
"""
