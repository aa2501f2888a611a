"""Computes the figures of a fit and writes its report as Markdown, HTML and JSON.

Decides nothing: the verdict is made in ``judging``.
"""
