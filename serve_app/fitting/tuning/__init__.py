"""Chooses settings of the sources on the outcomes of a window.

Changes no setting that does not concern the sources.
"""
