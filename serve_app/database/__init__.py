"""Every connection to PostgreSQL, and every statement that it is asked.

No other folder contains SQL, except the readiness checks of ``embedded``.
"""
