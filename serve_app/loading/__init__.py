"""From CSV and Parquet files to checked rows in PostgreSQL or in memory.

Learns nothing from them.
"""
