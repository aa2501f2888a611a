"""Loads CSV and Parquet files as checked rows, into PostgreSQL or into memory.

``csv_and_parquet`` reads a file as ``chunk``s. ``rows`` and ``cells`` check the rows of any chunk,
and ``load`` and ``in_memory`` store them. Knows nothing of fitted models.
"""
