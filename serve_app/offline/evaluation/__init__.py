"""Compares models on the future of any shop's files: ``recserve evaluate``."""
