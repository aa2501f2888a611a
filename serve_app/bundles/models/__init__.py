"""Reads the models of a bundle, and finds what is wrong with their files.

Scores nothing: ``recommending.scoring`` does.
"""
