"""The running application: from an HTTP request to an answer.

Stages and pipeline import no Ray: only ``app`` makes deployments.
"""
