"""Loads CSV and Parquet files as checked rows, into PostgreSQL or into memory.

``csv_and_parquet`` reads a file, ``rows`` and ``cells`` check its rows, ``load`` and ``in_memory``
store them. Knows nothing of fitted models.
"""
