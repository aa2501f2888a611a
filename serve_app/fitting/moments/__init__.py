"""What was known at one moment of the past, and the training examples made at it.

Nothing that happened later may enter.
"""
