"""Parses the arguments of ``recserve``, calls ``operations``, and prints the results.

Logic belongs in ``operations``, where it can be tested without a command line.
"""
