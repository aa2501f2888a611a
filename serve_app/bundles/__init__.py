"""Everything that one fit publishes, as an immutable folder of files; and which version is served.

Copies, verifies and opens files. Fits nothing.
"""
