"""The six steps of a fit, one module each; ``pipeline`` has their order.

A step reads what earlier steps left and writes its own results. Sibling folders do the work.
"""
