"""How a list of recommendations is made, in numpy.

No clock, no environment, no file, no network, no Ray.
"""
