"""What can go wrong in a benchmark; each message says what to do."""


class BenchmarkFailed(Exception):
    """A benchmark cannot go on; the message is for whoever started it."""
