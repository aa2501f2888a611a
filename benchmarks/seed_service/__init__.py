"""The usual service in one process: a dict per item, JSON in Redis, one prediction per request."""
