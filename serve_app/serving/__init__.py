"""The stages of the graph, and how an answer is made of them.

Imports no Ray and no FastAPI: ``app`` makes deployments, and ``http`` makes routes.
"""
