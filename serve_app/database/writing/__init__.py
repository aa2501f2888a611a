"""Writes to the shop's tables while it is served, and the statements that loads share with it.

Reads for answers are elsewhere in ``database``. Rules of what may be written: see ``loading``.
"""
