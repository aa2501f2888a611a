"""Every statement that PostgreSQL is asked.

No other folder contains SQL.
"""
