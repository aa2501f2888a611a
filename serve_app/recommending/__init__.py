"""Makes the lists of a batch: finds candidates, scores them, orders them.

Pure computation on what ``domain`` holds: no clock, no environment, no store, no Ray. Reads no
file, except that ``scoring`` loads the compiled C library of the package.
"""
