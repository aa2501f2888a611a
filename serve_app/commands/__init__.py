"""The verbs of the ``recserve`` command, a module per group. Each parses, calls and prints."""
