"""Brings the arrays of a bundle up to a later revision of the shop, in arrays alone.

Reads no store and knows no clock: ``stores.catalogue_follower`` brings the changes.
"""
