"""The ``recserve`` command: parses arguments, calls ``operations``, prints the outcome.

Contains no work of its own.
"""
