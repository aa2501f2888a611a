"""Fits the rivals that predict next items from the events before a question.

Each module defines ``NextRival`` records. Knows training events and prefixes, not the answers.
"""
