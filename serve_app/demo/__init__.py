"""A simulated shop with users, items and purchases, to try everything on.

Writes files in the format of ``recserve load``. Nothing else imports it, except commands and tests.
"""
