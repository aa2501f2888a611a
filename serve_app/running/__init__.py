"""Starts, asks, scales and watches the running application.

Talks to Serve over HTTP and to no store. Files and fits are the task of ``operations``.
"""
