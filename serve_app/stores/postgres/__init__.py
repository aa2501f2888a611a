"""Every statement that PostgreSQL is asked.

No other folder contains SQL, except the readiness checks of ``embedded``.
"""
