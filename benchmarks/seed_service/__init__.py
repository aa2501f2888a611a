"""A conventional service to compare with: dicts, JSON in Redis, one prediction per request."""
