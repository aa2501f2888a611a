"""From stored interactions to a published bundle: ``pipeline`` has the six steps in their order.

Answers no request.
"""
