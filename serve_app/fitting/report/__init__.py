"""The report of a fit: tables, plots, Markdown and HTML.

Shows figures that were measured elsewhere. The only folder that imports matplotlib.
"""
